// Package docs is the family of /docs: a viewer of the OpenAPI documents, the documents
// themselves, and the page that browsers get at /. The viewer is part of the program and loads
// nothing from other hosts.
//
// Each family has its own document. An address shows the documents of the families that it serves.
package docs
