// Package erased knows which conversations and object keys of a tenant were erased. It keeps keyed
// hashes of their ids. So lines that come again are recognised, and the table tells nobody what was
// erased.
//
// It is below the catalog, and does not decide what is erased.
package erased
