package pid1

// Sandbox is what a dyno is to see of the machine's files, in a mount
// namespace that the first process has been started in: everything, to read,
// but another /proc, /tmp and /dev, nothing of Hide, and Binds.
type Sandbox struct {
	Root  string   // empty folder to put it together in
	Hide  []string // files and folders that are empty to the dyno
	Binds []Bind   // in this order
}

// Bind shows a file or folder at another path, or at its own in a hidden one.
type Bind struct {
	From, To string
	Write    bool
}
