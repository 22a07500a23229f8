"""All that happens later. `dramatiq actors` finds the broker and the actor here."""

from actors import worker as worker
from actors.broker import broker as broker
