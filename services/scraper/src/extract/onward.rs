//! Where a list goes on, as far as its page tells.

use super::node::Node;
use crate::{
    fetch::Page,
    source::{PageKind, Step, Until, Vars},
};
use reqwest::header::{HeaderMap, LINK};

/// Where a list goes on, as far as its page tells.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Onward {
    /// Pages that there are.
    pub(crate) pages: Option<u32>,
    /// The cursor or the link to the next page. `None` at the end.
    pub(crate) next: Option<String>,
}

impl Onward {
    pub(super) fn of(step: &Step, root: Node<'_>, page: &Page, vars: &Vars) -> Self {
        let Some(paginate) = &step.paginate else {
            return Self::default();
        };
        let number = |pick| -> Option<u64> { root.picked(pick, vars)?.trim().parse().ok() };
        match &paginate.kind {
            PageKind::Numbered(numbering) => {
                let pages = match &numbering.until {
                    Until::Empty | Until::Short => None,
                    Until::TotalPages(pick) => number(pick),
                    Until::TotalRows(pick) => number(pick).map(|rows| rows.div_ceil(paginate.size.into())),
                };
                Self {
                    pages: pages.map(|pages| u32::try_from(pages).unwrap_or(u32::MAX)),
                    next: None,
                }
            }
            PageKind::Cursor { cursor: pick, .. } | PageKind::Next(pick) => Self::to(root.picked(pick, vars)),
            PageKind::LinkHeader => Self::to(next_link(&page.headers)),
        }
    }

    fn to(next: Option<String>) -> Self {
        Self {
            pages: None,
            next: next.filter(|next| !next.trim().is_empty()),
        }
    }
}

/// The target of the first link with `rel="next"` (RFC 8288).
fn next_link(headers: &HeaderMap) -> Option<String> {
    let texts = headers
        .get_all(LINK)
        .iter()
        .filter_map(|value| value.to_str().ok());
    texts.flat_map(links).find_map(|(target, parameters)| {
        let mut parameters = parameters.split(';').filter_map(|part| part.split_once('='));
        let next = parameters.any(|(name, value)| {
            let mut relations = value.trim().trim_matches('"').split_ascii_whitespace();
            name.trim().eq_ignore_ascii_case("rel") && relations.any(|rel| rel.eq_ignore_ascii_case("next"))
        });
        next.then(|| target.to_owned())
    })
}

/// Each `<target>` with the text of its parameters.
fn links(text: &str) -> Vec<(&str, &str)> {
    let parts = text.split('<').skip(1);
    parts.filter_map(|part| part.split_once('>')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_link_is_found_among_others() {
        let next = |text: &str| {
            let headers = HeaderMap::from_iter([(LINK, text.parse().unwrap())]);
            next_link(&headers)
        };
        let found = Some("/a?page=2,3".to_owned());
        assert_eq!(
            next(r#"</a?page=9>; rel="last", </a?page=2,3>; rel="next""#),
            found
        );
        assert_eq!(next("</a?page=2,3>; title=x; REL=next"), found);
        assert_eq!(next(r#"</a?page=2,3>; rel="prefetch next""#), found);
        for text in ["", "</a>; rel=\"last\"", "</a>", "next", "</a; rel=next"] {
            assert_eq!(next(text), None, "{text}");
        }
    }
}
