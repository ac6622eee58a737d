package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// pieceBytes is the most that one Secret holds of a layer: a Secret may hold 1 MiB, and the request that writes it less
// than 1.5 MiB, base64 and all.
const pieceBytes = 512 << 10

const layerPrefix = "layer-"

// PutLayer stores a layer's sealed chunks. A layer that is stored already is not written again.
func (s *Store) PutLayer(ctx context.Context, id string, chunks [][]byte) error {
	for i, chunk := range chunks {
		for p := 0; p*pieceBytes < max(len(chunk), 1); p++ {
			piece := chunk[p*pieceBytes : min((p+1)*pieceBytes, len(chunk))]
			data := map[string][]byte{"sealed": piece, "bytes": []byte(strconv.Itoa(len(chunk)))}
			if err := s.put(ctx, kindLayer, pieceName(id, i, p), data); err != nil {
				return fmt.Errorf("storing layer %s: %w", id, err)
			}
		}
	}
	return nil
}

// Layer reads a layer's sealed chunks. It is ErrNotStored if any of it is missing.
func (s *Store) Layer(ctx context.Context, id string, chunks int) ([][]byte, error) {
	sealed := make([][]byte, chunks)
	for i := range sealed {
		chunk, err := s.chunk(ctx, id, i)
		if err != nil {
			return nil, fmt.Errorf("reading layer %s: %w", id, err)
		}
		sealed[i] = chunk
	}
	return sealed, nil
}

func (s *Store) chunk(ctx context.Context, id string, i int) ([]byte, error) {
	var chunk bytes.Buffer
	for p := 0; ; p++ {
		name := pieceName(id, i, p)
		if _, exists := s.digestOf(name); !exists {
			return nil, fmt.Errorf("Secret %s: %w", name, ErrNotStored)
		}
		data, err := s.get(ctx, name)
		if err != nil {
			return nil, err
		}
		total, err := strconv.Atoi(string(data["bytes"]))
		if err != nil {
			return nil, fmt.Errorf("Secret %s: %w", name, errors.Join(ErrNotStored, err))
		}
		chunk.Write(data["sealed"])
		switch {
		case chunk.Len() == total:
			return chunk.Bytes(), nil
		case chunk.Len() > total || len(data["sealed"]) == 0:
			return nil, fmt.Errorf("Secret %s holds %d of %d bytes: %w", name, chunk.Len(), total, ErrNotStored)
		}
	}
}

// Sweep deletes the layers that keep does not name.
func (s *Store) Sweep(ctx context.Context, keep map[string]bool) error {
	for _, name := range s.names(layerPrefix) {
		if keep[layerOf(name)] {
			continue
		}
		if err := s.drop(ctx, name); err != nil {
			return fmt.Errorf("sweeping layers: %w", err)
		}
	}
	return nil
}

// pieceName ends in chunk and piece number, so the layer's id is what stands before the last two dashes.
func pieceName(id string, chunk, piece int) string {
	return fmt.Sprintf("%s%s-%d-%d", layerPrefix, id, chunk, piece)
}

func layerOf(name string) string {
	name = strings.TrimPrefix(name, layerPrefix)
	for range 2 {
		if i := strings.LastIndexByte(name, '-'); i >= 0 {
			name = name[:i]
		}
	}
	return name
}
