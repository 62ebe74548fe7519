// Package apitest holds what the tests of the families of endpoints share: answers checked against
// the family's OpenAPI document, golden files, a catalog on either database, and archives to serve.
// Only tests import it.
package apitest
