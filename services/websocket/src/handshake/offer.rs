//! The offers in a `Sec-WebSocket-Extensions` header.

use std::borrow::Cow;

/// One extension with its parameters, as offered.
#[derive(Debug)]
pub(super) struct Offer<'a> {
    name: &'a str,
    parameters: Vec<(&'a str, Option<Cow<'a, str>>)>,
}

/// The offers of a header, until the first that is malformed.
#[derive(Debug)]
pub(super) struct Offers<'a> {
    rest: &'a str,
}

impl<'a> Offers<'a> {
    pub(super) fn of(header: &'a str) -> Self {
        Self { rest: header }
    }

    /// `name *( ";" parameter [ "=" value ] )`; `None` where it is anything else.
    fn offer(&mut self) -> Option<Offer<'a>> {
        let name = self.token()?;
        let mut parameters = Vec::new();
        while self.skip(';') {
            let parameter = self.token()?;
            let value = if self.skip('=') { Some(self.value()?) } else { None };
            parameters.push((parameter, value));
        }
        (self.rest.is_empty() || self.rest.starts_with(',')).then_some(Offer { name, parameters })
    }

    fn value(&mut self) -> Option<Cow<'a, str>> {
        match self.rest.strip_prefix('"') {
            Some(quoted) => self.quoted(quoted).map(Cow::Owned),
            None => self.token().map(Cow::Borrowed),
        }
    }

    /// What is quoted must be a token as well.
    fn quoted(&mut self, text: &'a str) -> Option<String> {
        let mut value = String::new();
        let mut chars = text.char_indices();
        loop {
            match chars.next()? {
                (at, '"') => {
                    self.rest = text[at + 1..].trim_start_matches(is_space);
                    return (!value.is_empty() && value.chars().all(is_token)).then_some(value);
                }
                (_, '\\') => value.push(chars.next()?.1),
                (_, c) => value.push(c),
            }
        }
    }

    fn token(&mut self) -> Option<&'a str> {
        let end = self.rest.find(|c| !is_token(c)).unwrap_or(self.rest.len());
        let (token, rest) = self.rest.split_at(end);
        self.rest = rest.trim_start_matches(is_space);
        (!token.is_empty()).then_some(token)
    }

    fn skip(&mut self, separator: char) -> bool {
        let Some(rest) = self.rest.strip_prefix(separator) else {
            return false;
        };
        self.rest = rest.trim_start_matches(is_space);
        true
    }
}

impl<'a> Iterator for Offers<'a> {
    type Item = Offer<'a>;
    fn next(&mut self) -> Option<Offer<'a>> {
        self.rest = self.rest.trim_start_matches(|c| is_space(c) || c == ',');
        let offer = self.offer();
        if offer.is_none() {
            self.rest = "";
        }
        offer
    }
}

impl Offer<'_> {
    /// What to answer, if this one suits.
    pub(super) fn response(&self) -> Option<&'static str> {
        if self.name != "permessage-deflate" {
            return None;
        }
        let mut seen = Vec::new();
        for (name, value) in &self.parameters {
            let suits = match (*name, value.as_deref()) {
                (
                    "server_no_context_takeover" | "client_no_context_takeover" | "client_max_window_bits",
                    None,
                ) => true,
                // The largest window reads what was written with any.
                ("client_max_window_bits", Some(bits)) => WINDOW_BITS.contains(&bits),
                ("server_max_window_bits", Some(bits)) => bits == LARGEST_WINDOW,
                _ => false,
            };
            if !suits || seen.contains(name) {
                return None;
            }
            seen.push(*name);
        }
        // Whoever asks for the server's window must be answered it: RFC 7692, 7.1.2.1.
        Some(if seen.contains(&"server_max_window_bits") {
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=15"
        } else {
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
        })
    }
}

const WINDOW_BITS: [&str; 8] = ["8", "9", "10", "11", "12", "13", "14", "15"];
const LARGEST_WINDOW: &str = "15";

/// What RFC 9110 lets a token be made of.
fn is_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)
}

fn is_space(c: char) -> bool {
    c == ' ' || c == '\t'
}
