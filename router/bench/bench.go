// Package bench measures the router beside nginx and HAProxy, in one run, before
// the same backend: CPU and system calls for each request, requests per second
// and latency. A machine is noisy, so that only the ratios say something.
// make bench-router runs it.
package bench
