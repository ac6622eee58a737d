package source

// Reasons of an Error. They become the reasons of conditions and are part of the API.
const (
	InvalidURL         = "InvalidURL"
	RepoNotFound       = "RepoNotFound"
	RepoEmpty          = "RepoEmpty"
	RefNotFound        = "RefNotFound"
	AuthFailed         = "AuthFailed"
	UnknownCA          = "UnknownCA"
	CertificateInvalid = "CertificateInvalid"
	Unreachable        = "Unreachable"
	Timeout            = "Timeout"
	NotGit             = "NotGit"
	TooLarge           = "TooLarge"
	FetchFailed        = "FetchFailed"

	PathEscape     = "PathEscape"
	PathLoop       = "PathLoop"
	SubmoduleFound = "SubmoduleFound"
	LFSPointer     = "LFSPointer"
	TreeRefused    = "TreeRefused"
)

// Error is what went wrong with a source. It never carries a credential.
type Error struct {
	Reason  string // one of the constants
	Where   string // the repository without its credentials, or a path in the tree
	Message string // what is wrong
	Next    string // what to do about it
	cause   error  // context.Canceled or context.DeadlineExceeded, for errors.Is
}

func (e *Error) Error() string {
	text := e.Where + ": " + e.Message
	if e.Next != "" {
		text += "; " + e.Next
	}
	return text
}

func (e *Error) Unwrap() error { return e.cause }
