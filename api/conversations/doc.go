// Package conversations serves a tenant's conversations one by one: lists with filters, a single one
// with its transcript, and its recording. The same three endpoints stand under /conversations and,
// as public client libraries of that dialect expect them, under /v1/convai/conversations.
//
// It never changes anything.
package conversations
