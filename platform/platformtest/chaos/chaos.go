// Package chaos kills a platform at work, again and again, at moments picked
// by a seed, and holds it to its word: what it has acknowledged is there, what
// it has not is done or undone and nothing in between, and ten seconds later
// nothing on the machine is without an owner.
//
// A round goes like this. Tenants use the platform through its API and git,
// each doing one thing at a time and keeping a model of what it was told. In
// the middle of that the kernel's SIGKILL hits niwa, a dyno, a data server or
// the engine. A niwa that was killed is started again. Then the platform is
// observed through its API until it is what the model says, and the machine
// itself (processes, files, users, control groups, databases, roles,
// containers) until all that is there belongs to something in the model.
package chaos
