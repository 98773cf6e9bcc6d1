//! What the command line and the environment say about how sites are asked.

use clap::Args;
use reqwest::header::HeaderValue;
use url::Url;

const PRODUCT: &str = concat!("oddswire/", env!("CARGO_PKG_VERSION"));

/// How the process asks sites, whatever the source.
#[derive(Debug, Clone, Default, Args)]
pub struct FetchOptions {
    /// Lets every source reach loopback, private and link-local addresses, as allow_private = true lets one. For
    /// development.
    #[arg(long, env = "ODDSWIRE_ALLOW_PRIVATE")]
    pub allow_private: bool,
    /// An HTTP proxy that all sites are asked through, but those of sources with allow_private = true. It decides
    /// what names and addresses mean. HTTP_PROXY and the like are not read.
    #[arg(long, env = "ODDSWIRE_PROXY", value_name = "URL", value_parser = parse_proxy, hide_env_values = true)]
    pub proxy: Option<Url>,
    /// Where the operators of sites find you: the user agent becomes oddswire/VERSION (+URL).
    #[arg(long, env = "ODDSWIRE_CONTACT", value_name = "URL", value_parser = parse_contact)]
    pub contact: Option<String>,
}

impl FetchOptions {
    /// What we call ourselves where the source does not say it.
    pub(super) fn user_agent(&self) -> HeaderValue {
        let Some(contact) = &self.contact else {
            return HeaderValue::from_static(PRODUCT);
        };
        HeaderValue::from_str(&format!("{PRODUCT} (+{contact})"))
            .unwrap_or_else(|_| HeaderValue::from_static(PRODUCT))
    }
}

fn parse_proxy(text: &str) -> Result<Url, String> {
    let wrong = || "must begin with http:// or https:// and a host".to_owned();
    let url = Url::parse(text).map_err(|_| wrong())?;
    let good = matches!(url.scheme(), "http" | "https") && url.host().is_some();
    good.then_some(url).ok_or_else(wrong)
}

fn parse_contact(text: &str) -> Result<String, String> {
    let good = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b')');
    good.then(|| text.to_owned())
        .ok_or_else(|| "must be a URL or an address, without spaces".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn we_say_who_we_are_and_where_to_find_us() {
        let mut options = FetchOptions::default();
        assert_eq!(options.user_agent(), PRODUCT);
        options.contact = Some("https://example.org/bot".into());
        assert_eq!(
            options.user_agent().to_str().unwrap(),
            format!("{PRODUCT} (+https://example.org/bot)")
        );
    }

    #[test]
    fn a_proxy_is_a_url_and_a_contact_one_word() {
        assert!(parse_proxy("http://user:password@proxy:3128").is_ok());
        for text in ["", "proxy:3128", "socks5://proxy", "http://"] {
            assert!(parse_proxy(text).is_err(), "{text:?}");
        }
        assert!(parse_contact("mailto:ops@example.org").is_ok());
        for text in ["", "a b", "a\nb", "a)"] {
            assert!(parse_contact(text).is_err(), "{text:?}");
        }
    }
}
