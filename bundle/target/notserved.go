package target

// Unserved is a field of Fleet that is set and has no effect yet.
type Unserved struct {
	// Field is its path, such as "spec.helm.valuesFrom".
	Field string
	// Blocks says that nothing may be deployed while it is set: without it, something wrong could be deployed or deleted.
	Blocks bool
	// Why is what that means, in half a sentence.
	Why string
}
