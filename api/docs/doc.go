// Package docs serves /docs: every OpenAPI document of an address, shown by a viewer that is part
// of the program and asks no other host for anything, and the documents as they are.
//
// It writes no description itself: each family of endpoints owns its document. Whether an address
// shows a document is decided by which families answer there.
package docs
