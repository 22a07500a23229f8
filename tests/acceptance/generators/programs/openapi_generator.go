package main

import (
	"context"
	"fmt"
	"os"

	api "example.com/notifications/client"
)

func main() {
	configuration := api.NewConfiguration()
	configuration.Servers = api.ServerConfigurations{{URL: os.Args[1]}}
	ctx := context.WithValue(context.Background(), api.ContextAccessToken, os.Args[2])
	notifications := api.NewAPIClient(configuration).NotificationsAPI

	message, metadata := "Hello", map[string]string{"by": "openapi-generator"}
	notification := api.NotificationInput{Type: api.EMAIL, Recipient: os.Args[3], Message: &message, Metadata: metadata}
	sent, _, err := notifications.CreateNotification(ctx).NotificationInput(notification).IdempotencyKey("go").Execute()
	check(err)
	found, _, err := notifications.ListNotifications(ctx).Priority(api.NORMAL).Metadata([]string{"by=openapi-generator"}).Execute()
	check(err)
	fmt.Print(sent.Id)
	for _, item := range found.Items {
		fmt.Print(" ", item.Id)
	}
	fmt.Println()
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
