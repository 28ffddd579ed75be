//! A command line in a topology file, split as containerlab does: quotes and backslashes, no other shell.

/// The words of `text`.
///
/// # Errors
/// An open quote, or a backslash at the end.
pub fn split(text: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            ' ' | '\t' | '\n' => words.extend(word.take()),
            '\'' | '"' => quoted(letter, &mut letters, word.get_or_insert_default())?,
            '\\' => word.get_or_insert_default().push(letters.next().ok_or("a backslash ends the command")?),
            _ => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    Ok(words)
}

fn quoted(quote: char, letters: &mut std::str::Chars<'_>, word: &mut String) -> Result<(), String> {
    loop {
        match letters.next() {
            None => return Err(format!("the quote {quote} is not closed")),
            Some(letter) if letter == quote => return Ok(()),
            Some('\\') if quote == '"' => word.push(letters.next().ok_or("a backslash ends the command")?),
            Some(letter) => word.push(letter),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn words_follow_quotes_and_backslashes() {
        for (text, words) in [
            ("", &[][..]),
            ("ip link set eth1 up", &["ip", "link", "set", "eth1", "up"]),
            ("  a \t b\n", &["a", "b"]),
            ("sh -c 'echo \"$HOME\" \\n'", &["sh", "-c", "echo \"$HOME\" \\n"]),
            (r#"a"b c"d "" \'"#, &["ab cd", "", "'"]),
            (r#""a \" b""#, &["a \" b"]),
        ] {
            assert_eq!(split(text).unwrap(), words, "{text}");
        }
        assert_eq!(split("echo 'a").unwrap_err(), "the quote ' is not closed");
        assert_eq!(split("echo \\").unwrap_err(), "a backslash ends the command");
    }
}
