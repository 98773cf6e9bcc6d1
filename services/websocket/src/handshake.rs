//! Answering an upgrade: the parts of RFC 6455, 4.2 and RFC 7692, 7.1 that are not HTTP's.

mod offer;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use offer::Offers;
use sha1::{Digest as _, Sha1};

/// What every server of RFC 6455 appends to a key.
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The value of `Sec-WebSocket-Accept` for that of `Sec-WebSocket-Key`.
pub fn accept_key(key: &str) -> String {
    let digest = Sha1::new().chain_update(key).chain_update(GUID).finalize();
    STANDARD.encode(digest)
}

/// Whether this is a `Sec-WebSocket-Key`: sixteen bytes in base64.
pub fn is_key(key: &str) -> bool {
    STANDARD.decode(key).is_ok_and(|bytes| bytes.len() == 16)
}

/// The value of `Sec-WebSocket-Extensions` to answer with, if one of the offers of permessage-deflate suits; give it
/// the values of all such headers of the request. Without an answer messages go uncompressed.
///
/// The first offer that suits is taken. Both sides then compress each message by itself: the server, so that a frame
/// serves many clients; the client, so that the server keeps nothing between messages. An offer that wants the server
/// to use a smaller window does not suit.
pub fn deflate_response<'a>(headers: impl IntoIterator<Item = &'a str>) -> Option<&'static str> {
    headers
        .into_iter()
        .flat_map(Offers::of)
        .find_map(|offer| offer.response())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PLAIN: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
    const WITH_WINDOW: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover; \
                               server_max_window_bits=15";

    fn answer(header: &str) -> Option<&'static str> {
        deflate_response([header])
    }

    /// # Source
    /// RFC 6455, 1.3.
    #[test]
    fn the_key_of_the_rfc_is_accepted_as_there() {
        assert_eq!(
            accept_key("dGhlIHNhbXBsZSBub25jZQ=="),
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        );
        assert!(is_key("dGhlIHNhbXBsZSBub25jZQ=="));
        for other in [
            "",
            "dGhlIHNhbXBsZQ==",
            "dGhlIHNhbXBsZSBub25jZQ",
            "not base64, not base64",
        ] {
            assert!(!is_key(other), "{other}");
        }
    }

    #[test]
    fn what_browsers_and_libraries_offer_is_taken() {
        for header in [
            "permessage-deflate",
            "permessage-deflate; client_max_window_bits",
            "permessage-deflate;client_max_window_bits=15",
            "permessage-deflate; client_max_window_bits=\"10\"",
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
            "x-webkit-deflate-frame, permessage-deflate",
            "permessage-deflate; server_max_window_bits=10, permessage-deflate",
            " permessage-deflate ; client_max_window_bits , ",
        ] {
            assert_eq!(answer(header), Some(PLAIN), "{header}");
        }
    }

    #[test]
    fn a_window_that_was_asked_for_is_answered() {
        assert_eq!(
            answer("permessage-deflate; server_max_window_bits=15"),
            Some(WITH_WINDOW)
        );
    }

    #[test]
    fn what_does_not_suit_is_declined() {
        for header in [
            "",
            "permessage-bzip2",
            "permessage-deflate; server_max_window_bits",
            "permessage-deflate; server_max_window_bits=9",
            "permessage-deflate; server_max_window_bits=16",
            "permessage-deflate; client_max_window_bits=7",
            "permessage-deflate; client_max_window_bits=015",
            "permessage-deflate; server_no_context_takeover=1",
            "permessage-deflate; client_no_context_takeover; client_no_context_takeover",
            "permessage-deflate; client_max_window_bits; client_max_window_bits=10",
            "permessage-deflate; unheard_of",
        ] {
            assert_eq!(answer(header), None, "{header}");
        }
    }

    #[test]
    fn a_malformed_header_offers_nothing_from_there_on() {
        for header in [
            "permessage-deflate;",
            "permessage-deflate; =15",
            "permessage-deflate; client_max_window_bits=",
            "permessage-deflate; client_max_window_bits=\"15",
            "permessage-deflate; client_max_window_bits=\"1\\",
            "permessage-deflate permessage-deflate",
            "@, permessage-deflate",
        ] {
            assert_eq!(answer(header), None, "{header}");
        }
        assert_eq!(answer("permessage-deflate, @"), Some(PLAIN));
    }

    #[test]
    fn several_headers_are_one_list() {
        let headers = [
            "permessage-deflate; server_max_window_bits=8",
            "other, permessage-deflate",
        ];
        assert_eq!(deflate_response(headers), Some(PLAIN));
        assert_eq!(deflate_response([]), None);
    }

    proptest! {
        #[test]
        fn hostile_headers_are_answered_in_our_own_words_or_not_at_all(
            header in prop_oneof![".{0,60}", "(permessage-deflate|; ?|, ?|=|\"|\\\\|15|server_max_window_bits|ü){0,12}"],
        ) {
            let answer = answer(&header);
            prop_assert!([None, Some(PLAIN), Some(WITH_WINDOW)].contains(&answer));
            prop_assert!(answer.is_none() || header.contains("permessage-deflate"));
        }
    }
}
