package api

import (
	"encoding/json"
	"reflect"
	"testing"
)

// What is taken has one meaning: that of the standard library, and whoever reads it again.
func FuzzReadJSON(f *testing.F) {
	for _, body := range []string{`{"a":1}`, `{"a":1,"a":2}`, `{"a":{"b":[null,{"c":1,"c":2}]}}`, `[1.5e3]`, `"\ud83d\ude00"`, `"\ud800"`, "{}{}", "\ufeff{}"} {
		f.Add([]byte(body))
	}
	read := jsonFormat().Unmarshal
	f.Fuzz(func(t *testing.T, data []byte) {
		var got, want any
		if read(data, &got) != nil {
			return
		}
		if err := json.Unmarshal(data, &want); err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%q is %v, and %v (%v) to others", data, got, want, err)
		}
		again, err := json.Marshal(got)
		if err != nil {
			t.Fatal(err)
		}
		if err := read(again, &want); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q is %v, and %v (%v) when read again", data, got, want, err)
		}
	})
}
