# Flattens a JSON document: one line for each scalar, its JSON pointer (RFC 6901), a tab, and its value.
# Strings come out with backslash escapes that printf's %b understands, so a value never spans lines.
{ text = text $0 "\n" }

END { value("") }

function token(    found) {
    sub(/^[ \t\r\n]+/, "", text)
    if (!match(text, /^("([^"\\]|\\.)*"|[][{}:,]|[^][{}:," \t\r\n]+)/)) exit 1
    found = substr(text, 1, RLENGTH)
    text = substr(text, RLENGTH + 1)
    return found
}

function value(path,    word, name, count) {
    word = token()
    if (word == "{") {
        for (word = token(); word != "}"; word = token()) {
            if (word == ",") word = token()
            name = swap(swap(unquote(word), "~", "~0"), "/", "~1")
            token()
            value(path "/" name)
        }
    } else if (word == "[") {
        while (1) {
            sub(/^[ \t\r\n,]+/, "", text)
            if (substr(text, 1, 1) == "]") { token(); break }
            value(path "/" count++)
        }
    } else if (word ~ /^"/)
        print path "\t" unquote(word)
    else
        print path "\t" (word == "null" ? "" : word)
}

function swap(from, what, by,    out, at) {
    while (at = index(from, what)) {
        out = out substr(from, 1, at - 1) by
        from = substr(from, at + length(what))
    }
    return out from
}

function unquote(word,    out, at, escaped, code) {
    word = substr(word, 2, length(word) - 2)
    while (at = index(word, "\\")) {
        out = out substr(word, 1, at - 1)
        escaped = substr(word, at + 1, 1)
        word = substr(word, at + 2)
        if (escaped == "u") {
            code = hex(substr(word, 1, 4))
            word = substr(word, 5)
            if (code >= 55296 && code < 56320 && substr(word, 1, 2) == "\\u") {    # a surrogate pair
                code = 65536 + (code - 55296) * 1024 + hex(substr(word, 3, 4)) - 56320
                word = substr(word, 7)
            }
            out = out utf8(code)
        } else
            out = out (escaped == "\"" || escaped == "/" ? "" : "\\") escaped
    }
    return out word
}

function hex(digits,    i, number) {
    for (i = 1; i <= length(digits); i++)
        number = number * 16 + index("0123456789abcdef", tolower(substr(digits, i, 1))) - 1
    return number
}

function octet(number) { return sprintf("\\0%03o", number) }

function utf8(code) {
    if (code < 128) return octet(code)
    if (code < 2048) return octet(192 + int(code / 64)) octet(128 + code % 64)
    if (code < 65536)
        return octet(224 + int(code / 4096)) octet(128 + int(code / 64) % 64) octet(128 + code % 64)
    return octet(240 + int(code / 262144)) octet(128 + int(code / 4096) % 64) \
        octet(128 + int(code / 64) % 64) octet(128 + code % 64)
}
