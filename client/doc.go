// Package client fetches a tenant's archives from a callvault server. It resumes interrupted
// downloads, and checks every archive without trusting the server or the network.
//
// Client.Pull keeps a directory of archives up to date. Client.Day gets the links of one day.
// Package verify checks ZIPs without a server.
//
// The package uses only HTTP and ZIP, and imports of callvault nothing but verify.
package client
