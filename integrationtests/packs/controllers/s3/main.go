// S3 is an object store in memory, with the buckets that its arguments name after the address.
package main

import (
	"fmt"
	"log"
	"net/http"
	"os"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
)

func main() {
	if len(os.Args) < 3 {
		log.Fatal("usage: s3 ADDRESS BUCKET...")
	}
	store := s3mem.New()
	for _, bucket := range os.Args[2:] {
		if err := store.CreateBucket(bucket); err != nil {
			log.Fatal(fmt.Errorf("making bucket %s: %w", bucket, err))
		}
	}
	log.Fatal(http.ListenAndServe(os.Args[1], gofakes3.New(store).Server()))
}
