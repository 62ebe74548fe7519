// Package bench measures callvault against real services: how fast hours are
// planned and built, beside what the machine can do at best, and how much
// memory a worker takes. Everything in it is a test or a benchmark;
// docs/benchmarks.md says how to read what they print.
//
// What is measured runs in a process of its own, so that its memory and its
// processor time are its own.
package bench
