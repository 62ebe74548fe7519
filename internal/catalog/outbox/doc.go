// Package outbox stores webhooks: the tenants' endpoints; events, which are added in the
// transaction of their cause; and deliveries, which are claimed, retried, logged and deleted.
//
// It decides nothing about days and hours, and sends nothing: package webhooks signs and sends.
package outbox
