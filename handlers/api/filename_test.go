package api

import (
	"strings"
	"testing"
)

func TestFilenames(t *testing.T) {
	for name, c := range map[string]struct {
		filename string
		want     string // what is wrong with it
	}{
		"plain":                      {"holiday.jpg", ""},
		"folders":                    {"2026/holiday.jpg", ""},
		"accents":                    {"café e\u0301té.jpg", ""},
		"Hebrew":                     {"\u05ea\u05de\u05d5\u05e0\u05d4.jpg", ""},
		"Japanese":                   {"写真　一.jpg", ""},
		"emoji":                      {"🏖.jpg", ""},
		"emoji of several":           {"👩\u200d🚀👨\u200d👩\u200d👧.jpg", ""},
		"emoji with a skin tone":     {"👩🏽\u200d🚀.jpg", ""},
		"emoji with a style":         {"❤\ufe0f\u200d🔥.jpg", ""},
		"keycap":                     {"1\ufe0f\u20e3.jpg", ""},
		"flag of Scotland":           {"\U0001f3f4\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f.jpg", ""},
		"Persian with a non-joiner":  {"می\u200cخواهم.jpg", ""},
		"Malayalam with a joiner":    {"അവന്\u200d.jpg", ""},
		"Arabic number sign":         {"\u0600\u0661.jpg", ""},
		"variant of a Han character": {"葛\U000e0100.jpg", ""},

		"zero-width space":          {"a\u200b.jpg", "must not have invisible characters"},
		"joiner in Latin":           {"a\u200db.jpg", "must not have invisible characters"},
		"non-joiner in Latin":       {"a\u200cb.jpg", "must not have invisible characters"},
		"joiner after an accent":    {"e\u0301\u200d.jpg", "must not have invisible characters"},
		"joiner at the beginning":   {"\u200da.jpg", "must not have invisible characters"},
		"joiner after ASCII symbol": {"a^\u200d.jpg", "must not have invisible characters"},
		"two joiners":               {"👩\u200d\u200d🚀.jpg", "must not have invisible characters"},
		"left-to-right mark":        {"a\u200e.jpg", "must not have invisible characters"},
		"right-to-left mark":        {"a\u200f.jpg", "must not have invisible characters"},
		"Arabic letter mark":        {"a\u061c.jpg", "must not have invisible characters"},
		"word joiner":               {"a\u2060.jpg", "must not have invisible characters"},
		"invisible times":           {"a\u2062b.jpg", "must not have invisible characters"},
		"byte order mark":           {"\ufeffa.jpg", "must not have invisible characters"},
		"soft hyphen":               {"a\u00adb.jpg", "must not have invisible characters"},
		"line separator":            {"a\u2028b.jpg", "must not have invisible characters"},
		"paragraph separator":       {"a\u2029b.jpg", "must not have invisible characters"},
		"Hangul filler":             {"\u3164.jpg", "must not have invisible characters"},
		"grapheme joiner":           {"a\u034f.jpg", "must not have invisible characters"},
		"tags":                      {"a\U000e0065\U000e0076.jpg", "must not have invisible characters"},
		"tags behind a flag":        {"\U0001f3f4\U000e0065\U000e0076\U000e007f.jpg", "must not have invisible characters"},
		"two variations":            {"❤\ufe0f\ufe01.jpg", "must not have invisible characters"},
		"variation of nothing":      {"\ufe0fa.jpg", "must not have invisible characters"},
		"override":                  {"a\u202egpj.exe", "must not have characters that change the direction of text"},
		"newline":                   {"a\n.jpg", "must not have control characters"},
		"C1 control":                {"a\u0085.jpg", "must not have control characters"},
		"folder above":              {"a/../b.jpg", "must not lead to a folder above"},
		"spaces":                    {"\u00a0\u3000", "must not be empty"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := checkFilename(c.filename); got != c.want {
				t.Errorf("%+q: %q, want %q", c.filename, got, c.want)
			}
		})
	}
}

// Whatever a name is taken for, taking the invisible out of it leaves nothing to complain of but what else is wrong.
func FuzzCheckFilename(f *testing.F) {
	for _, name := range []string{"a.jpg", "a\u200b", "👩\u200d🚀", "\U0001f3f4\U000e0067", "می\u200cخواهم", "\xff", ".."} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if checkFilename(name) != "" {
			return
		}
		for _, hidden := range []string{"\u200b", "\u200e", "\u2060", "\ufeff", "\u202e", "\u00ad", "\x00", "\u2028", "\u200d\u200d"} {
			if strings.Contains(name, hidden) {
				t.Errorf("%+q is taken", name)
			}
			if checkFilename(name+hidden) == "" {
				t.Errorf("%+q is taken with %+q after it", name, hidden)
			}
		}
	})
}
