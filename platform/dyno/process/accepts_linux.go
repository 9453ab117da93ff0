package process

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// listensAlone says whether a user, and nobody else, listens on a TCP port of
// this machine.
func listensAlone(uid, port int) bool {
	user, alone := strconv.Itoa(uid), false
	for _, file := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		users, err := listeners(file, port)
		if err != nil && !os.IsNotExist(err) { // a kernel without IPv6
			return false
		}
		for _, u := range users {
			if u != user {
				return false
			}
			alone = true
		}
	}
	return alone
}

// listeners reads the users of sockets that listen on a port; proc_pid_net(5)
// has the columns.
func listeners(file string, port int) (users []string, err error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	const local, state, user, listening = 1, 3, 7, "0A"
	at := fmt.Sprintf(":%04X", port)
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) > user && fields[state] == listening && strings.HasSuffix(fields[local], at) {
			users = append(users, fields[user])
		}
	}
	return users, lines.Err()
}
