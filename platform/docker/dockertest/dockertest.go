// Package dockertest gives tests a Docker engine of their own, which they may
// kill or hold up as they must not the machine's.
package dockertest
