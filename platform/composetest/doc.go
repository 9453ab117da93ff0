// Package composetest runs the whole stack of docker-compose.yml, from one
// push to one request.
package composetest
