package client_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"os"

	"github.com/sluice-media/sluice/handlers/api/client"
	v1 "github.com/sluice-media/sluice/handlers/api/v1"
)

// photo is a picture that was padded to a size in bytes.
func photo(size int) *bytes.Reader {
	var b bytes.Buffer
	if err := jpeg.Encode(&b, image.NewGray(image.Rect(0, 0, 640, 480)), nil); err != nil {
		panic(err)
	}
	return bytes.NewReader(append(b.Bytes(), make([]byte, size-b.Len())...))
}

func ExampleClient_Upload() {
	c := client.New(os.Getenv("SLUICE_URL"), os.Getenv("SLUICE_TOKEN"), nil)
	file := photo(100_000)

	upload, err := c.Upload(context.Background(), file, v1.NewUpload{
		Filename: "holiday.jpg", ContentType: "image/jpeg", Size: file.Size(), Metadata: map[string]string{"album": "summer"},
	}, client.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(upload.Filename, "is", upload.State, "for the album", upload.Metadata["album"])
	// Output: holiday.jpg is ready for the album summer
}

// What the service does not want is an Error. A file that was sent and should not pass is none: it has its outcome.
func ExampleClient_Upload_refused() {
	c := client.New(os.Getenv("SLUICE_URL"), os.Getenv("SLUICE_TOKEN"), nil)
	file := bytes.NewReader([]byte("<html>"))

	_, err := c.Upload(context.Background(), file, v1.NewUpload{
		Filename: "page.html", ContentType: "text/html", Size: file.Size(),
	}, client.Options{})
	var refused *client.Error
	if errors.As(err, &refused) {
		fmt.Println(refused.Status, refused.Code)
	}
	// Output: 422 type_not_allowed
}

func ExampleClient_Upload_progress() {
	c := client.New(os.Getenv("SLUICE_URL"), os.Getenv("SLUICE_TOKEN"), nil)
	file := photo(6 << 20)

	var last int64
	_, err := c.Upload(context.Background(), file, v1.NewUpload{
		Filename: "large.jpg", ContentType: "image/jpeg", Size: file.Size(), Method: "multipart",
	}, client.Options{
		NoWait:   true,
		Progress: func(sent int64) { last = sent }, // draw a bar
		PartSent: func(p v1.CompletedPart) { // from several goroutines, one at a time
			_ = p.Number
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%d of %d bytes\n", last, file.Size())
	// Output: 6291456 of 6291456 bytes
}

// What storage has of a file that is sent in parts is not sent again, in whichever process.
func ExampleClient_Upload_resume() {
	c := client.New(os.Getenv("SLUICE_URL"), os.Getenv("SLUICE_TOKEN"), nil)
	file := photo(12 << 20)
	declared := v1.NewUpload{Filename: "large.jpg", ContentType: "image/jpeg", Size: file.Size(), Method: "multipart"}

	var id string // to be kept where it outlives the process
	ctx, crash := context.WithCancel(context.Background())
	_, err := c.Upload(ctx, file, declared, client.Options{
		Parallel: 1,
		OnBegun: func(begun v1.Upload) error {
			id = begun.ID
			return nil
		},
		PartSent: func(v1.CompletedPart) { crash() },
	})
	fmt.Println("stopped:", errors.Is(err, context.Canceled))

	again := 0
	upload, err := c.Upload(context.Background(), file, declared, client.Options{
		Resume:   id,
		PartSent: func(v1.CompletedPart) { again++ },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%s after %d more part, still the same upload: %t\n", upload.State, again, upload.ID == id)
	// Output:
	// stopped: true
	// ready after 1 more part, still the same upload: true
}

// The steps of Upload, one by one: whoever sends the file need not be who asks for permission.
func ExampleClient_Wait() {
	c := client.New(os.Getenv("SLUICE_URL"), os.Getenv("SLUICE_TOKEN"), nil)
	ctx, file := context.Background(), photo(100_000)

	begun, err := c.Begin(ctx, v1.NewUpload{Filename: "holiday.jpg", ContentType: "image/jpeg", Size: file.Size()})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := c.Put(ctx, begun.Permission, file, file.Size(), nil); err != nil {
		fmt.Println(err)
		return
	}
	if _, err := c.Complete(ctx, begun.ID); err != nil {
		fmt.Println(err)
		return
	}
	changes := 0
	upload, err := c.Wait(ctx, begun.ID, func(v1.Upload) { changes++ }) // show how far it is
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(begun.State, "became", upload.State, changes > 0)
	// Output: initiated became ready true
}

func ExampleClient_Delete() {
	c := client.New(os.Getenv("SLUICE_URL"), os.Getenv("SLUICE_TOKEN"), nil)
	ctx := context.Background()

	begun, err := c.Begin(ctx, v1.NewUpload{Filename: "mistake.jpg", ContentType: "image/jpeg", Size: 100_000})
	if err != nil {
		fmt.Println(err)
		return
	}
	upload, err := c.Delete(ctx, begun.ID)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(upload.Filename, "is", upload.State)
	// Output: mistake.jpg is aborted
}
