//! The page at `/`: files compiled into the binary, or of a folder.

use super::{Gateway, error::ApiError};
use crate::front::Backlog;
use axum::{
    Extension,
    body::{Bytes, HttpBody},
    extract::{Path, State, rejection::PathRejection},
    http::{HeaderMap, StatusCode, header},
    response::{Html, IntoResponse, Response},
};
use oddswire_protocol::problem::ProblemCode;
use rust_embed::{Embed, EmbeddedFile};
use std::{
    borrow::Cow,
    fmt::Write as _,
    path::{Path as FolderPath, PathBuf},
    sync::Arc,
};

/// What `npm run build` made of `clients/dashboard`. A release binary carries it; a debug one reads the folder.
#[derive(Embed)]
#[folder = "../../clients/dashboard/dist"]
#[allow_missing = true]
struct Compiled;

/// Which page is served at `/`.
#[derive(Debug)]
pub enum Page {
    /// None: the API alone.
    Off,
    /// The one that this binary was built with.
    Compiled,
    /// The files of a folder, as they are at each request.
    Folder(PathBuf),
}

/// The page loads nothing from elsewhere and talks to this host alone.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// What `/` says when the binary was built without the page.
const NOT_BUILT: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Oddswire</title>\
    <h1>Oddswire</h1><p>This gateway was built without its page: run <code>npm ci &amp;&amp; npm run build</code> in \
    <code>clients/dashboard</code> before building it, or start it with <code>cargo xtask dev</code>.</p>\
    <p>The API is there: <a href=\"api/odds\">api/odds</a>, <a href=\"api/scrapes\">api/scrapes</a>.</p>";

/// The copies that may lie beside a file, by what a client must accept for them; the shortest first.
const ENCODINGS: [(&str, &str); 2] = [("br", ".br"), ("gzip", ".gz")];

type FileName = Result<Path<String>, PathRejection>;
type OnItsWay = Option<Extension<Arc<Backlog>>>;

pub(super) async fn index(
    State(gateway): State<Gateway>,
    backlog: OnItsWay,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    match answer(&gateway, "index.html", backlog, &headers).await? {
        None if matches!(*gateway.page, Page::Compiled) => Ok((
            StatusCode::OK,
            [(header::CACHE_CONTROL, "no-store")],
            Html(NOT_BUILT),
        )
            .into_response()),
        answer => answer.ok_or_else(nothing),
    }
}

pub(super) async fn file(
    State(gateway): State<Gateway>,
    name: FileName,
    backlog: OnItsWay,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    named(&gateway, "", name, backlog, &headers).await
}

pub(super) async fn asset(
    State(gateway): State<Gateway>,
    name: FileName,
    backlog: OnItsWay,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    named(&gateway, "assets/", name, backlog, &headers).await
}

async fn named(
    gateway: &Gateway,
    folder: &str,
    name: FileName,
    backlog: OnItsWay,
    headers: &HeaderMap,
) -> Result<Response, ApiError> {
    // A path that is no text names no file.
    let Path(name) = name.map_err(|_| nothing())?;
    if !is_file_name(&name) {
        return Err(nothing());
    }
    let path = format!("{folder}{name}");
    answer(gateway, &path, backlog, headers)
        .await?
        .ok_or_else(nothing)
}

/// The answer for a file. One that is compiled in is sent as it lies in the binary; one of a folder is read for this
/// answer, and counts until the last byte of it is gone.
async fn answer(
    gateway: &Gateway,
    path: &str,
    backlog: OnItsWay,
    headers: &HeaderMap,
) -> Result<Option<Response>, ApiError> {
    let is_read = matches!(*gateway.page, Page::Folder(_));
    if is_read {
        gateway.front.room_for_answer()?;
    }
    let answer = gateway.page.answer(path, headers).await;
    let size = answer
        .as_ref()
        .and_then(|answer| answer.body().size_hint().exact());
    if let (true, Some(size), Some(Extension(backlog))) = (is_read, size, backlog) {
        backlog.keep(gateway.front.hold(size));
    }
    Ok(answer)
}

/// Whether a part of an address, which was decoded after the address was taken apart, is the plain name of a file: what
/// was `%2F` is a character of it and no separator (RFC 3986, 2.4), and no file of a page has it in its name.
fn is_file_name(name: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.~@+".contains(c);
    !name.starts_with('.') && name.chars().all(is_plain)
}

fn nothing() -> ApiError {
    ApiError::new(ProblemCode::NotFound, "there is nothing here")
}

impl Page {
    /// The answer for a file, in the best form that the client accepts; `None` when there is no such file.
    async fn answer(&self, path: &str, asked: &HeaderMap) -> Option<Response> {
        let media_type = media_type(path)?;
        let whole = self.read(path).await?;
        let mut form = (None, whole);
        for (encoding, ending) in ENCODINGS {
            if accepts(asked, encoding)
                && let Some(short) = self.read(&format!("{path}{ending}")).await
            {
                form = (Some(encoding), short);
                break;
            }
        }
        let (encoding, file) = form;
        let tag = tag(&file.metadata.sha256_hash());
        // Names in assets/ carry a hash of what is in them.
        let cache = if path.starts_with("assets/") {
            "public, max-age=31536000, immutable"
        } else {
            "no-cache"
        };
        let common = [
            (header::CACHE_CONTROL, cache),
            (header::ETAG, &tag),
            (header::VARY, "accept-encoding"),
            (header::CONTENT_SECURITY_POLICY, POLICY),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::REFERRER_POLICY, "no-referrer"),
        ];
        if has(asked, &tag) {
            return Some((StatusCode::NOT_MODIFIED, common).into_response());
        }
        let bytes = match file.data {
            Cow::Borrowed(bytes) => Bytes::from_static(bytes),
            Cow::Owned(bytes) => bytes.into(),
        };
        let mut answer = (common, [(header::CONTENT_TYPE, media_type)], bytes).into_response();
        if let Some(encoding) = encoding {
            answer
                .headers_mut()
                .insert(header::CONTENT_ENCODING, encoding.parse().ok()?);
        }
        Some(answer)
    }

    async fn read(&self, path: &str) -> Option<EmbeddedFile> {
        match self {
            Self::Off => None,
            Self::Compiled => Compiled::get(path),
            Self::Folder(folder) => {
                let (folder, path) = (folder.clone(), path.to_owned());
                let read = tokio::task::spawn_blocking(move || {
                    let whole = inside(&folder, &path)?;
                    rust_embed::utils::read_file_from_fs(&whole).ok()
                });
                read.await.ok()?
            }
        }
    }
}

/// Where a file of the folder really is. `None` for what leads out of it, through a link too, and for what is no file: a
/// pipe would never end.
fn inside(folder: &FolderPath, path: &str) -> Option<PathBuf> {
    let folder = folder.canonicalize().ok()?;
    let whole = folder.join(path).canonicalize().ok()?;
    (whole.starts_with(&folder) && whole.is_file()).then_some(whole)
}

/// Only what a page is made of is served, so that a folder gives away nothing else.
fn media_type(path: &str) -> Option<&'static str> {
    Some(match path.rsplit_once('.')?.1 {
        "html" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "woff2" => "font/woff2",
        _ => return None,
    })
}

/// Whether `Accept-Encoding` names it, and not with a quality of nought.
fn accepts(asked: &HeaderMap, encoding: &str) -> bool {
    let said = asked
        .get_all(header::ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok());
    said.flat_map(|value| value.split(',')).any(|one| {
        let (name, more) = one.split_once(';').unwrap_or((one, ""));
        name.trim().eq_ignore_ascii_case(encoding)
            && !matches!(
                more.replace(' ', "").as_str(),
                "q=0" | "q=0.0" | "q=0.00" | "q=0.000"
            )
    })
}

/// Whether the client has what this tag is of.
pub(super) fn has(asked: &HeaderMap, tag: &str) -> bool {
    let known = asked
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok());
    known
        .flat_map(|value| value.split(','))
        .any(|value| value.trim().trim_start_matches("W/") == tag)
}

/// The tag of a content, from its hash.
pub(super) fn tag(hash: &[u8]) -> String {
    let mut tag = String::from("\"");
    for byte in hash.iter().take(12) {
        // Writing to a string does not fail.
        let _ = write!(tag, "{byte:02x}");
    }
    tag.push('"');
    tag
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(header::HeaderName, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.clone(), value.parse().unwrap()))
            .collect()
    }

    /// A folder with a page, and something beside it that is none of its.
    fn folder() -> (tempfile::TempDir, Page) {
        let root = tempfile::tempdir().unwrap();
        let page = root.path().join("page");
        std::fs::create_dir_all(page.join("assets")).unwrap();
        for (name, text) in [
            ("index.html", "<p>"),
            ("assets/a-1.js", "long"),
            ("assets/a-1.js.br", "b"),
            (".env", "x"),
        ] {
            std::fs::write(page.join(name), text).unwrap();
        }
        std::fs::write(root.path().join("secret.html"), "secret").unwrap();
        (root, Page::Folder(page))
    }

    #[tokio::test]
    async fn a_folders_files_are_served_with_their_types_and_how_long_they_hold() {
        let (_root, page) = folder();
        let answer = page.answer("index.html", &HeaderMap::new()).await.unwrap();
        assert_eq!(answer.headers()[header::CONTENT_TYPE], "text/html; charset=utf-8");
        assert_eq!(answer.headers()[header::CACHE_CONTROL], "no-cache");
        let answer = page.answer("assets/a-1.js", &HeaderMap::new()).await.unwrap();
        assert_eq!(
            answer.headers()[header::CACHE_CONTROL],
            "public, max-age=31536000, immutable"
        );
        assert!(!answer.headers().contains_key(header::CONTENT_ENCODING));
    }

    #[tokio::test]
    async fn nothing_outside_of_the_folder_and_nothing_that_is_no_part_of_a_page_is_served() {
        let (root, page) = folder();
        let inside = root.path().join("page");
        let link = |to: &str, name: &str| std::os::unix::fs::symlink(to, inside.join(name)).unwrap();
        link("../secret.html", "out.html");
        link("../..", "assets/out");
        link("index.html", "now.html");
        std::os::unix::net::UnixListener::bind(inside.join("pipe.html")).unwrap();
        for path in [
            "../secret.html",
            "assets/../../secret.html",
            "..\\secret.html",
            ".env",
            "assets",
            "none.html",
            "pipe.html",
            "out.html",
            "assets/out/secret.html",
            "nul\0.html",
        ] {
            assert!(page.answer(path, &HeaderMap::new()).await.is_none(), "{path}");
        }
        let absolute = root.path().join("secret.html");
        let absolute = absolute.to_str().unwrap();
        assert!(page.answer(absolute, &HeaderMap::new()).await.is_none());
        // A link that stays inside is how a page is exchanged at once.
        let linked = page.answer("now.html", &HeaderMap::new()).await;
        assert_eq!(linked.unwrap().status(), StatusCode::OK);
    }

    #[test]
    fn a_part_of_an_address_is_the_plain_name_of_a_file_or_none() {
        for name in ["index.html", "board-a1B2_c.js", "logo@2x.png"] {
            assert!(is_file_name(name), "{name}");
        }
        for name in [
            "/etc/x.html",
            "..",
            ".env",
            "a/b.js",
            "..\\x.js",
            "c:x.js",
            "a\0.js",
            "a b.js",
            "a%2fb.js",
            "\u{202e}sj.a",
        ] {
            assert!(!is_file_name(name), "{name:?}");
        }
    }

    #[tokio::test]
    async fn a_shorter_copy_is_served_to_who_accepts_it() {
        let (_root, page) = folder();
        for (said, expected) in [
            ("gzip, br", Some("br")),
            ("BR;q=0.5", Some("br")),
            ("br;q=0", None),
            ("gzip", None),
        ] {
            let answer = page
                .answer("assets/a-1.js", &headers(&[(header::ACCEPT_ENCODING, said)]))
                .await
                .unwrap();
            let got = answer
                .headers()
                .get(header::CONTENT_ENCODING)
                .map(|value| value.to_str().unwrap());
            assert_eq!(got, expected, "{said}");
        }
    }

    #[tokio::test]
    async fn what_a_client_has_is_not_sent_again() {
        let (_root, page) = folder();
        let tag = page
            .answer("index.html", &HeaderMap::new())
            .await
            .unwrap()
            .headers()[header::ETAG]
            .clone();
        let asked = headers(&[(header::IF_NONE_MATCH, tag.to_str().unwrap())]);
        assert_eq!(
            page.answer("index.html", &asked).await.unwrap().status(),
            StatusCode::NOT_MODIFIED
        );
        let asked = headers(&[(header::IF_NONE_MATCH, "\"other\"")]);
        assert_eq!(
            page.answer("index.html", &asked).await.unwrap().status(),
            StatusCode::OK
        );
    }
}
