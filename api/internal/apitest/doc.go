// Package apitest is what the tests of the families share: checks of answers against the family's
// OpenAPI document, golden files, a catalog on either database, and a store in memory. Only tests
// import it.
package apitest
