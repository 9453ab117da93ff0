package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"

	"niwa/platform"
)

// decode reads the JSON body of a request. No body is an empty one. What does
// not fit is an error for the client that names the field.
func (c *call) decode(into any) error { return decode(c.Body(), into) }

func decode(body []byte, into any) error {
	if len(bytes.TrimSpace(body)) == 0 {
		return nil
	}
	if !utf8.Valid(body) {
		return platform.Errorf(platform.BadRequest, "Unable to parse the JSON request body: it is not valid UTF-8.")
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return misfit(err)
	}
	if _, err := d.Token(); err != io.EOF {
		return unparsable()
	}
	return noZeroBytes(body)
}

func unparsable() *platform.Error {
	return platform.Errorf(platform.BadRequest, "Unable to parse the JSON request body.")
}

// misfit words an error of the decoder.
func misfit(err error) error {
	var wrong *json.UnmarshalTypeError
	var told *platform.Error
	switch {
	case errors.As(err, &told):
		return told
	case errors.As(err, &wrong) && wrong.Field == "":
		return platform.Invalid("The request body must be %s, not %s.", kind(wrong.Type), article(wrong.Value))
	case errors.As(err, &wrong):
		return platform.Invalid("Field %s must be %s, not %s.", wrong.Field, kind(wrong.Type), article(wrong.Value))
	}
	if field, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		return platform.Invalid("Field %s is not one that this endpoint knows.", field)
	}
	return unparsable()
}

// kind names what a field must be, in the words of JSON.
func kind(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Pointer:
		return kind(t.Elem())
	case reflect.Bool:
		return "a boolean"
	case reflect.Int, reflect.Int64, reflect.Uint64:
		return "an integer"
	case reflect.Slice:
		return "an array"
	case reflect.Map, reflect.Struct:
		return "an object"
	}
	return "a string"
}

// article names what the decoder found; it calls a number with its digits.
func article(value string) string {
	value, _, _ = strings.Cut(value, " ")
	switch value {
	case "bool":
		return "a boolean"
	case "array", "object":
		return "an " + value
	}
	return "a " + value
}

// noZeroBytes refuses strings with a zero byte anywhere in a body: no
// environment, no file name and no database holds one.
func noZeroBytes(body []byte) error {
	if !bytes.Contains(body, []byte(`\u0000`)) {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	for {
		token, err := d.Token()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return unparsable()
		}
		if s, ok := token.(string); ok && strings.ContainsRune(s, 0) {
			return platform.Invalid("The request body holds a string with a zero byte, which is not allowed.")
		}
	}
}

// identity is how clients name a thing: "name", {"name": ...} or {"id": ...}.
type identity string

func (i *identity) UnmarshalJSON(data []byte) error {
	switch data[0] {
	case '"':
		return json.Unmarshal(data, (*string)(i))
	case 'n': // null: none is named
		return nil
	case '{':
	default:
		return wrongType(data, reflect.TypeFor[string]())
	}
	var object struct{ ID, Name *string }
	if err := json.Unmarshal(data, &object); err != nil {
		return wrongType(data, reflect.TypeFor[string]())
	}
	switch {
	case object.ID != nil:
		*i = identity(*object.ID)
	case object.Name != nil:
		*i = identity(*object.Name)
	}
	return nil
}

// scalar is a string, number or boolean, kept as it is written.
type scalar string

func (s *scalar) UnmarshalJSON(data []byte) error {
	switch data[0] {
	case '"':
		return json.Unmarshal(data, (*string)(s))
	case '{', '[', 'n':
		return wrongType(data, reflect.TypeFor[string]())
	}
	*s = scalar(data)
	return nil
}

// quantity is how many: 2, "2", or a change, "+1" and "-1".
type quantity string

func (q *quantity) UnmarshalJSON(data []byte) error {
	if data[0] == '"' {
		return json.Unmarshal(data, (*string)(q))
	}
	n, err := strconv.Atoi(string(data))
	if err != nil {
		return wrongType(data, reflect.TypeFor[int]())
	}
	if n < 0 {
		return platform.Invalid("A quantity cannot be %d.", n)
	}
	*q = quantity(strconv.Itoa(n))
	return nil
}

// flag is a boolean; heroku3 of PyPI sends it as 0 or 1.
type flag bool

func (f *flag) UnmarshalJSON(data []byte) error {
	switch string(data) {
	case "0", "1":
		*f = data[0] == '1'
		return nil
	case "true", "false":
		return json.Unmarshal(data, (*bool)(f))
	}
	return wrongType(data, reflect.TypeFor[bool]())
}

// wrongType is the decoder's own error, which it completes with the field.
func wrongType(data []byte, want reflect.Type) error {
	found := "number"
	switch data[0] {
	case '{':
		found = "object"
	case '[':
		found = "array"
	case 't', 'f':
		found = "bool"
	case 'n':
		found = "null"
	case '"':
		found = "string"
	}
	return &json.UnmarshalTypeError{Value: found, Type: want}
}

// required says that a field must be there.
func required(field string) *platform.Error { return platform.Invalid("Field %s is required.", field) }

// tooLong refuses texts that nobody means.
func tooLong(field, value string, limit int) error {
	if len(value) > limit {
		return platform.Invalid("Field %s may be %d bytes long, not %d.", field, limit, len(value))
	}
	return nil
}
