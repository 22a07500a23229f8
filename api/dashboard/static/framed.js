// Submits the form that fills the frame, so that no click is needed.
for (const form of document.querySelectorAll("form.framing")) {
  form.submit();
  form.hidden = true;
}
