package worker

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"flotilla.io/flotilla/bundle/render"
	"flotilla.io/flotilla/bundle/target"
)

// A frame is its length in four bytes, big-endian, and so much JSON. The first frame that a child gets is its limits; then
// each request gets one response, and in between the child may ask back what is on the cluster.

// maxFrame bounds what either side takes: a bundle's files as base64, or the objects of a rendering.
const maxFrame = 512 << 20

// limits are what a child holds itself to.
type limits struct {
	Memory int64 // bytes of heap and stacks
}

type request struct {
	Input        render.Input
	Capabilities *render.Capabilities
	OnCluster    bool        // Capabilities are there, and lookups are answered
	Kept         render.Kept `json:",omitempty"`
	Fill         *target.Job `json:",omitempty"` // in place of a rendering
}

type response struct {
	Output *render.Output  `json:",omitempty"`
	Error  *wireError      `json:",omitempty"`
	Filled []target.Filled `json:",omitempty"`
	Lookup *render.Lookup  `json:",omitempty"` // no response yet: it wants a lookedUp first
}

type lookedUp struct {
	Object json.RawMessage `json:",omitempty"`
	Error  string          `json:",omitempty"`
}

// wireError carries each kind of error that Render documents.
type wireError struct {
	Input       *render.Error `json:",omitempty"`
	NotReported bool          `json:",omitempty"`
	Text        string
}

func toWire(err error) *wireError {
	if err == nil {
		return nil
	}
	w := &wireError{NotReported: errors.Is(err, render.ErrNotReported), Text: err.Error()}
	errors.As(err, &w.Input)
	return w
}

func (w *wireError) err() error {
	switch {
	case w.Input != nil:
		return w.Input
	case w.NotReported:
		return notReported(w.Text)
	}
	return errors.New(w.Text)
}

// notReported is render.ErrNotReported with its context in front.
type notReported string

func (e notReported) Error() string { return string(e) }
func (e notReported) Unwrap() error { return render.ErrNotReported }

// frame encodes a value. It returns errTooLarge for one that no side would take.
func frame(value any) ([]byte, error) {
	data, err := json.Marshal(value)
	if err != nil {
		return nil, fmt.Errorf("encoding a frame: %w", err)
	}
	if len(data) > maxFrame {
		return nil, errTooLarge
	}
	return append(binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(data)), uint32(len(data))), data...), nil
}

var errTooLarge = fmt.Errorf("more than %d MiB at once", maxFrame>>20)

func writeFrame(w io.Writer, value any) error {
	data, err := frame(value)
	if err != nil {
		return err
	}
	_, err = w.Write(data)
	return err
}

// readFrame returns io.EOF when the other side is gone before a frame began.
func readFrame(r io.Reader, value any) error {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return err
	}
	n := binary.BigEndian.Uint32(size[:])
	if n > maxFrame {
		return errTooLarge
	}
	data := make([]byte, n)
	if _, err := io.ReadFull(r, data); err != nil {
		return fmt.Errorf("reading a frame of %d bytes: %w", n, err)
	}
	if err := json.Unmarshal(data, value); err != nil {
		return fmt.Errorf("decoding a frame: %w", err)
	}
	return nil
}
