// Package outbox holds what tenants' endpoints are told: endpoints, events, which are added in the
// transaction of their cause, and deliveries, which are claimed, retried, logged and swept.
//
// It knows no days and hours. Package webhooks signs and sends.
package outbox
