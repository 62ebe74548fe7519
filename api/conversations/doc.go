// Package conversations is the family of a tenant's conversations: lists with filters, a single one
// with its transcript, and its recording. The same three endpoints are under /conversations and
// under /v1/convai/conversations, where public client libraries of that dialect expect them.
//
// It changes nothing in the catalog.
package conversations
