//! A place in a parsed page, the same for JSON and HTML.

use super::{Error, value::Text, value::text_of};
use crate::source::{Condition, Each, Field, OpenRule, Pick, Step, Vars};
use scraper::{ElementRef, Selector, selector::ToCss as _};
use serde_json::Value;

/// How many elements above an element are looked at. No page for people is as deep; a hostile one costs no more.
const DEPTH_MAX: usize = 256;

/// A place in a page.
#[derive(Debug, Clone, Copy)]
pub(super) enum Node<'a> {
    Json(&'a Value),
    Html(ElementRef<'a>),
}

/// The rows of a page: what `each` finds, or the page itself.
pub(super) fn page_rows<'a>(step: &Step, root: Node<'a>) -> Result<Vec<Node<'a>>, Error> {
    let Some(each) = &step.each else {
        return Ok(vec![root]);
    };
    root.rows(each).ok_or_else(|| {
        let place = match each {
            Each::Json(container) => container.to_string(),
            Each::Css { within, .. } => within.as_ref().map(Selector::to_css_string).unwrap_or_default(),
        };
        Error::Drift(format!("{place} is not there"))
    })
}

impl Node<'_> {
    /// The rows below; `None` when the place that holds them is not there, which is not an empty list.
    pub(super) fn rows(self, each: &Each) -> Option<Vec<Self>> {
        match (self, each) {
            (Self::Json(value), Each::Json(container)) => match container.query(value).first()? {
                Value::Array(items) => Some(items.iter().map(Self::Json).collect()),
                Value::Object(fields) => Some(fields.values().map(Self::Json).collect()),
                _ => None,
            },
            (Self::Html(element), Each::Css { within, rows }) => {
                let Some(within) = within else {
                    return Some(visible(element, rows).map(Self::Html).collect());
                };
                let places = outermost(visible(element, within));
                let found = places.iter().flat_map(|place| visible(*place, rows));
                (!places.is_empty()).then(|| found.map(Self::Html).collect())
            }
            // Loading compiles both for the format of the step.
            _ => None,
        }
    }

    /// The text of a value; blank for a JSON null. `None` when it is not there or is no single value.
    pub(super) fn picked(self, pick: &Pick, vars: &Vars) -> Option<String> {
        match (self, pick) {
            (_, Pick::Var(name)) => vars.get(name).cloned(),
            (Self::Json(value), Pick::Json(path)) => scalar(path.query(value).first()?),
            (Self::Html(element), Pick::Css { selector, attr }) => {
                let element = match selector {
                    Some(selector) => visible(element, selector).next()?,
                    None => element,
                };
                match attr {
                    Some(attr) => element.attr(attr).map(str::to_owned),
                    None => Some(shown_text(element)),
                }
            }
            _ => None,
        }
    }

    /// Whether there is something, of whatever kind.
    pub(super) fn has(self, pick: &Pick) -> bool {
        match (self, pick) {
            (Self::Json(value), Pick::Json(path)) => path.query(value).first().is_some(),
            (Self::Html(element), Pick::Css { selector, .. }) => selector
                .as_ref()
                .is_none_or(|selector| visible(element, selector).next().is_some()),
            _ => false,
        }
    }

    /// The text of the place itself, blank for a JSON null.
    pub(super) fn own_text(self) -> Option<String> {
        match self {
            Self::Json(value) => scalar(value),
            Self::Html(element) => Some(shown_text(element)),
        }
    }

    /// The text of a field.
    pub(super) fn text_of(self, field: &Field, vars: &Vars) -> Text {
        text_of(field, self.picked(&field.pick, vars))
    }

    /// Whether a condition holds here.
    pub(super) fn holds(self, condition: &Condition, vars: &Vars) -> bool {
        self.picked(&condition.pick, vars)
            .is_some_and(|text| condition.test.passes(&text))
    }

    /// Whether bets are taken here.
    pub(super) fn is_open(self, rule: &OpenRule, vars: &Vars) -> bool {
        match rule {
            OpenRule::Always => true,
            OpenRule::When(condition) => self.holds(condition, vars),
            OpenRule::Unless(condition) => !self.holds(condition, vars),
        }
    }
}

/// The text of a single JSON value. Numbers are written as JSON writes them, so that no arithmetic touches them.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(value) => Some(value.to_string()),
        Value::Null => Some(String::new()),
        Value::Array(_) | Value::Object(_) => None,
    }
}

/// What a selector finds, without what no reader of the page sees: sites hide rows with wrong prices.
fn visible<'a, 's>(
    element: ElementRef<'a>,
    selector: &'s Selector,
) -> impl Iterator<Item = ElementRef<'a>> + use<'a, 's> {
    element.select(selector).filter(|found| !is_hidden(*found))
}

/// The elements without those that are in another one of them, whose rows would count twice.
fn outermost<'a>(elements: impl Iterator<Item = ElementRef<'a>>) -> Vec<ElementRef<'a>> {
    let mut outermost: Vec<ElementRef<'a>> = Vec::new();
    // They come in the order of the page, so that what is in an element follows it.
    for element in elements {
        let last = outermost.last().map(|last| last.id());
        if !element
            .ancestors()
            .take(DEPTH_MAX)
            .any(|above| Some(above.id()) == last)
        {
            outermost.push(element);
        }
    }
    outermost
}

/// Whether the element, or one that it is in, is hidden: by the attribute `hidden`, or by a style of its own.
fn is_hidden(element: ElementRef<'_>) -> bool {
    let above = element.ancestors().take(DEPTH_MAX).filter_map(ElementRef::wrap);
    std::iter::once(element)
        .chain(above)
        .any(|element| element.attr("hidden").is_some() || element.attr("style").is_some_and(hides))
}

fn hides(style: &str) -> bool {
    style
        .split(';')
        .filter_map(|rule| rule.split_once(':'))
        .any(|(property, value)| {
            let property = property.trim();
            let value = value.trim().trim_end_matches("!important").trim_end();
            let is = |name: &str, hidden: &str| {
                property.eq_ignore_ascii_case(name) && value.eq_ignore_ascii_case(hidden)
            };
            is("display", "none") || is("visibility", "hidden")
        })
}

/// The text of an element with each run of white space made one space.
fn shown_text(element: ElementRef<'_>) -> String {
    let text: String = element.text().collect();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
