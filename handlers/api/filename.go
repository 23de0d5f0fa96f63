package api

import (
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

const maxFilename = 1024 // bytes

// checkFilename says what is wrong with a name, or nothing. Folders before it are fine, since the name is only ever
// shown. What lies about itself is not: a way up, text that is shown in another order than it is written, and what is
// not shown at all.
func checkFilename(name string) string {
	switch {
	case strings.TrimSpace(name) == "":
		return "must not be empty"
	case len(name) > maxFilename:
		return "must be at most " + strconv.Itoa(maxFilename) + " bytes"
	case hasControl(name):
		return "must not have control characters"
	case strings.ContainsFunc(name, reorders):
		return "must not have characters that change the direction of text"
	case hasInvisible(name):
		return "must not have invisible characters"
	case slices.Contains(strings.FieldsFunc(name, isSeparator), ".."):
		return "must not lead to a folder above"
	}
	return ""
}

// reorders reports the explicit formatting characters of bidirectional text: embeddings, overrides and isolates.
// Letters of any script bring their direction along and need none of them.
// https://www.unicode.org/reports/tr9/#Explicit_Directional_Embeddings
func reorders(r rune) bool { return r >= '\u202a' && r <= '\u202e' || r >= '\u2066' && r <= '\u2069' }

func isSeparator(r rune) bool { return r == '/' || r == '\\' }

// hasControl reports text that is not fit for showing or, with a NUL, for Postgres.
func hasControl(s string) bool {
	return !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl)
}

const (
	zeroWidthNonJoiner = '\u200c'
	zeroWidthJoiner    = '\u200d'
	emojiStyle         = '\ufe0f'
)

// invisible is what takes no room: format characters, fillers, and separators of lines and paragraphs.
// https://www.unicode.org/reports/tr44/#Default_Ignorable_Code_Point
var invisible = []*unicode.RangeTable{unicode.Cf, unicode.Other_Default_Ignorable_Code_Point, unicode.Zl, unicode.Zp}

// joined are the scripts whose letters a joiner connects or keeps apart, so that it shows.
// https://www.unicode.org/reports/tr31/#Layout_and_Format_Control_Characters
var joined = []*unicode.RangeTable{
	unicode.Arabic, unicode.Bengali, unicode.Devanagari, unicode.Gujarati, unicode.Gurmukhi, unicode.Kannada, unicode.Khmer,
	unicode.Malayalam, unicode.Mongolian, unicode.Myanmar, unicode.Nko, unicode.Oriya, unicode.Sinhala, unicode.Syriac,
	unicode.Tamil, unicode.Telugu,
}

// flags are the only emoji that are spelled with tags: those of England, Scotland and Wales.
// https://www.unicode.org/reports/tr51/#valid-emoji-tag-sequences
var flags = strings.NewReplacer(
	"\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f", "\U0001f3f4",
	"\U0001f3f4\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f", "\U0001f3f4",
	"\U0001f3f4\U000e0067\U000e0062\U000e0077\U000e006c\U000e0073\U000e007f", "\U0001f3f4",
)

// hasInvisible reports characters that do not show, and so make two names look like one. Joiners inside emoji and the
// scripts that need them show by what they do, and so does one variation selector after a character.
func hasInvisible(name string) bool {
	var before rune // none
	for _, r := range flags.Replace(name) {
		switch {
		case r == zeroWidthJoiner || r == zeroWidthNonJoiner:
			if !takesJoiner(before) {
				return true
			}
		case unicode.Is(unicode.Variation_Selector, r):
			if before == 0 || unicode.Is(unicode.Variation_Selector, before) {
				return true
			}
		case unicode.Is(unicode.Prepended_Concatenation_Mark, r): // a format character that shows
		case unicode.In(r, invisible...):
			return true
		}
		before = r
	}
	return false
}

// takesJoiner says that a joiner after r does something: r is an emoji, or of a script whose letters join.
func takesJoiner(r rune) bool {
	return r == emojiStyle || r > unicode.MaxLatin1 && unicode.In(r, unicode.So, unicode.Sk) || unicode.In(r, joined...)
}
