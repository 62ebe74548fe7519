// Package audit is the audit log: who did what, from where. A line is appended in the transaction
// of the change that it describes. The features name their actions, and know the details of their
// lines.
//
// It deletes no line.
package audit
