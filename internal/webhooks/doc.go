// Package webhooks tells tenants' endpoints of events, signed after Standard Webhooks. It makes and
// seals the endpoints' secrets, decides what addresses may be called, and sends what the catalog
// says is due until it arrives or its tries are used up.
//
// It does not decide what happened: the catalog writes events down in the transactions that they
// tell of. An event arrives at least once, with the same id each time, and in no certain order.
package webhooks
