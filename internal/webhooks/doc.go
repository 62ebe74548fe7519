// Package webhooks sends events to tenants' endpoints, signed by the Standard Webhooks
// specification. It makes and encrypts the endpoints' secrets, decides which addresses may be
// called, and sends each due delivery until it arrives or its tries are used up.
//
// It does not decide what happened: the catalog stores an event in the transaction that causes it.
// An event arrives at least once, always with the same id. Events may arrive in any order.
package webhooks
