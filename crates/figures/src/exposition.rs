//! Lines of Prometheus' text format: name, labels, value.
//!
//! prometheus-parse, the one kept crate for this, splits label sets at every comma and `=` and ends them
//! at the first `}`. It drops a label with a blank before its name, with a comma, a `}` or an `=` in its
//! value, or with an escape, and it drops lines that it does not understand. All of that is silent. Here
//! a line is read completely or refused with a reason.

use std::borrow::Cow;

/// One value of a series.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sample<'t> {
    pub(super) name: Cow<'t, str>,
    pub(super) labels: Vec<(Cow<'t, str>, Cow<'t, str>)>,
    pub(super) value: f64,
}

/// Reads a line; `None` for a blank line and for a comment, such as `# TYPE`.
pub(super) fn sample(line: &str) -> Result<Option<Sample<'_>>, String> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let mut rest = Rest(line);
    let mut name = Cow::Borrowed(rest.word());
    let mut labels = Vec::new();
    rest.blanks();
    if rest.take('{') {
        let quoted_name = rest.labels(&mut labels)?;
        // Prometheus 3 writes a name that has other letters into the braces, in quotes.
        if let Some(quoted) = quoted_name.filter(|_| name.is_empty()) {
            name = quoted;
        }
    }
    if name.is_empty() {
        return Err("expected the name of a metric".to_owned());
    }
    let mut words = rest.0.split_whitespace();
    let text = words.next().ok_or("expected a value")?;
    let value: f64 = text
        .parse()
        .map_err(|_| "expected a number as the value".to_owned())?;
    // A time may follow, and in OpenMetrics an exemplar behind `#`.
    let behind: Vec<&str> = words.take_while(|word| !word.starts_with('#')).collect();
    match behind.as_slice() {
        [] => {}
        [time] if time.parse::<f64>().is_ok() => {}
        [_] => return Err("expected nothing but a time behind the value".to_owned()),
        _ => return Err("expected nothing behind the time".to_owned()),
    }
    Ok(Some(Sample {
        name,
        labels,
        value,
    }))
}

/// What is left of a line.
struct Rest<'t>(&'t str);

impl<'t> Rest<'t> {
    fn blanks(&mut self) {
        self.0 = self.0.trim_start();
    }

    fn take(&mut self, letter: char) -> bool {
        let rest = self.0.strip_prefix(letter);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    /// A name without quotes.
    fn word(&mut self) -> &'t str {
        let end = self
            .0
            .find(|letter: char| letter.is_whitespace() || "{}=,\"".contains(letter));
        let (word, rest) = self.0.split_at(end.unwrap_or(self.0.len()));
        self.0 = rest;
        word
    }

    /// The labels up to `}`, and the name of the metric if it is among them.
    fn labels(
        &mut self,
        labels: &mut Vec<(Cow<'t, str>, Cow<'t, str>)>,
    ) -> Result<Option<Cow<'t, str>>, String> {
        let mut metric = None;
        loop {
            self.blanks();
            if self.take('}') {
                return Ok(metric);
            }
            let is_quoted = self.take('"');
            let name = if is_quoted {
                self.quoted()?
            } else {
                Cow::Borrowed(self.word())
            };
            self.blanks();
            if self.take('=') {
                self.blanks();
                if name.is_empty() || !self.take('"') {
                    return Err("expected label=\"value\"".to_owned());
                }
                labels.push((name, self.quoted()?));
            } else if is_quoted && metric.is_none() {
                metric = Some(name);
            } else {
                return Err("expected label=\"value\"".to_owned());
            }
            self.blanks();
            if !self.take(',') && !self.0.starts_with('}') {
                return Err("expected `,` or `}` behind a label".to_owned());
            }
        }
    }

    /// A text up to its closing quotation mark.
    fn quoted(&mut self) -> Result<Cow<'t, str>, String> {
        let mut text = String::new();
        let mut escaped = false;
        for (at, letter) in self.0.char_indices() {
            if escaped {
                match letter {
                    'n' => text.push('\n'),
                    '"' | '\\' => text.push(letter),
                    // No other escape is known. Go's reader keeps both letters.
                    other => text.extend(['\\', other]),
                }
                escaped = false;
            } else if letter == '\\' {
                escaped = true;
            } else if letter == '"' {
                let plain = &self.0[..at];
                self.0 = &self.0[at + 1..];
                return Ok(if plain.len() == text.len() {
                    Cow::Borrowed(plain)
                } else {
                    Cow::Owned(text)
                });
            } else {
                text.push(letter);
            }
        }
        Err("expected a closing quotation mark".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(line: &str) -> Vec<(String, String)> {
        let sample = sample(line).unwrap().unwrap();
        assert_eq!((&*sample.name, sample.value), ("a", 1.0), "{line}");
        let labels = sample.labels.into_iter();
        labels
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .collect()
    }

    #[test]
    fn no_label_is_lost() {
        let expected = |x: &str| {
            vec![
                ("x".to_owned(), x.to_owned()),
                ("y".to_owned(), "2".to_owned()),
            ]
        };
        for (line, x) in [
            ("a{x=\"1\",y=\"2\"} 1", "1"),
            ("a{x=\"1\", y=\"2\"} 1", "1"),
            ("a { x = \"1\" , y = \"2\" , } 1", "1"),
            ("a{\tx=\"1\",\ty=\"2\"}1", "1"),
            ("a{x=\"\",y=\"2\"} 1", ""),
            ("a{x=\"1,3\",y=\"2\"} 1", "1,3"),
            ("a{x=\"1=3\",y=\"2\"} 1", "1=3"),
            ("a{x=\"}\",y=\"2\"} 1", "}"),
            ("a{x=\"{1}\",y=\"2\"} 1", "{1}"),
            ("a{x=\"C:\\\\DIR\\n\\\"1\\\"\",y=\"2\"} 1", "C:\\DIR\n\"1\""),
            ("a{x=\"\\d\",y=\"2\"} 1", "\\d"),
            ("a{x=\" 1 # 3\",y=\"2\"} 1", " 1 # 3"),
            ("a{x=\"ü\",y=\"2\"} 1", "ü"),
            ("{\"a\",\"x\"=\"1\",y=\"2\"} 1", "1"),
            ("a{x=\"1\",y=\"2\"} 1 1395066363000", "1"),
            ("a{x=\"1\",y=\"2\"} 1 1395066363.5", "1"),
            ("a{x=\"1\",y=\"2\"} 1 # {id=\"7\"} 0.5 139.1", "1"),
            ("a{x=\"1\",y=\"2\"} 1 139 # {id=\"7\"} 0.5", "1"),
            ("  a{x=\"1\",y=\"2\"} 1\r", "1"),
        ] {
            assert_eq!(labels(line), expected(x), "{line}");
        }
        for line in ["a 1", "a{} 1", "a\t1", "a{ } 1"] {
            assert_eq!(labels(line), [], "{line}");
        }
    }

    #[test]
    fn every_number_of_go_is_read() {
        let value = |text: &str| sample(&format!("a {text}")).unwrap().unwrap().value;
        assert_eq!(value("4.38546432e+08"), 438_546_432.0);
        assert_eq!(value("-1"), -1.0);
        assert_eq!(value("+Inf"), f64::INFINITY);
        assert_eq!(value("-Inf"), f64::NEG_INFINITY);
        assert!(value("NaN").is_nan());
    }

    #[test]
    fn what_is_no_sample_is_passed_over_or_refused() {
        for line in ["", "  ", "# HELP a of {x=\"", "# EOF", "#"] {
            assert_eq!(sample(line), Ok(None), "{line}");
        }
        for (line, expected) in [
            ("a", "expected a value"),
            ("a b", "expected a number as the value"),
            ("a 1 b", "expected nothing but a time behind the value"),
            ("a 1 2 3", "expected nothing behind the time"),
            ("{x=\"1\"} 1", "expected the name of a metric"),
            ("a{x} 1", "expected label=\"value\""),
            ("a{x=1} 1", "expected label=\"value\""),
            ("a{=\"1\"} 1", "expected label=\"value\""),
            ("a{x=\"1\" y=\"2\"} 1", "expected `,` or `}` behind a label"),
            ("a{x=\"1} 1", "expected a closing quotation mark"),
            ("a{x=\"1\"", "expected `,` or `}` behind a label"),
            ("a{x=\"1\",", "expected label=\"value\""),
        ] {
            assert_eq!(sample(line), Err(expected.to_owned()), "{line}");
        }
    }
}
