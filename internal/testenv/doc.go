// Package testenv starts the real services that tests talk to: Redis,
// PostgreSQL and MinIO.
//
// Each service is started once per test process, by the first test that asks
// for it, on a free loopback port with random credentials. [Redis], [Postgres],
// [PostgresFrom] and [MinIO] share that one server and isolate tests from each
// other by database number, database and bucket name. [NewRedis],
// [NewPostgres] and [NewMinIO] start a private server that a test may stop,
// freeze and start again. [NewProxy] stands between a client and a server and
// breaks the connection on order. [Program] builds callvault as the image has
// it and [Start] runs it, for tests of whole processes. [Chromium] starts a browser.
//
// Nothing outlives the test process, however it ends: the kernel ends the
// servers with it and a waiting shell removes their directories. A package
// that calls [Main] from its TestMain gets both done before the process exits.
//
// A service whose program is not installed fails the test and says what to
// install; it never skips. Package testenv is for Linux and is imported by
// tests only.
package testenv
