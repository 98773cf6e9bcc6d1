//! `[[step]]`: one kind of page, how it is asked for and what rows it has.

use super::{
    condition::Condition,
    event::EventRule,
    field::Field,
    http::statuses,
    pick::{Each, Format, Pick, Scope},
    section::Section,
    template::{JsonTemplate, Template, is_name},
};
use std::collections::{BTreeMap, BTreeSet};
use toml::{Spanned, de::DeValue};

/// One kind of page. Steps form a chain: each but the first asks once for each row of the one before, and the last
/// is the event step.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    /// Its name in messages and in `for_each`.
    pub(crate) id: String,
    /// What is asked.
    pub(crate) request: RequestRule,
    /// What its pages are.
    pub(crate) format: Format,
    /// What stands in every whole page; a page without it was cut off. HTML only.
    pub(crate) end_marker: Option<String>,
    /// The status envelope of an answer that is none of an error.
    pub(crate) ok_when: Option<Condition>,
    /// The rows; none means that the page is one row.
    pub(crate) each: Option<Each>,
    /// What rows hand to the step after.
    pub(crate) vars: BTreeMap<String, Field>,
    /// How a list goes on.
    pub(crate) paginate: Option<Paginate>,
    /// Statuses that say that the page is gone.
    pub(crate) missing_on: BTreeSet<u16>,
    /// How rows become events; the last step has it and no other.
    pub(crate) event: Option<EventRule>,
}

/// A request with places for variables.
#[derive(Debug, Clone)]
pub(crate) struct RequestRule {
    /// Whether it is a POST; if not, a GET.
    pub(crate) post: bool,
    /// Path and query below the base URL.
    pub(crate) url: Template,
    /// The JSON body.
    pub(crate) json: Option<JsonTemplate>,
}

/// How a list that has several pages goes on.
#[derive(Debug, Clone)]
pub(crate) struct Paginate {
    /// The first page's number.
    pub(crate) start: u32,
    /// Rows of a page, for `{{size}}`.
    pub(crate) size: u32,
    /// How the end is known.
    pub(crate) until: Until,
    /// More pages than this are not asked for; the listing then counts as incomplete.
    pub(crate) max_pages: u32,
}

/// How the end of a list is known.
#[derive(Debug, Clone)]
pub(crate) enum Until {
    /// By a page without rows; pages are asked for one after another.
    Empty,
    /// By the number of pages that the first page tells; the others are asked for at once.
    TotalPages(Pick),
}

impl Step {
    /// Reads a step. `before` is the id and the variables of the step before; `last` tells whether none follows.
    pub(super) fn decode(
        mut section: Section<'_>,
        before: Option<(&str, BTreeSet<String>)>,
        last: bool,
    ) -> Option<Self> {
        let id = section.require("id", section.text("id"));
        if let Some(id) = &id {
            section.rename(format!("step {:?}", id.text));
            if !is_name(id.text) {
                section.problem_at("id", &id.at, "must be 1 to 32 of a-z, 0-9 and _");
            }
        }
        let (parent, vars) = before.map_or((None, BTreeSet::new()), |(id, vars)| (Some(id), vars));
        check_parent(&section, parent);
        let format = section.parsed("format", |text| match text {
            "json" => Ok(Format::Json),
            "html" => Ok(Format::Html),
            _ => Err(format!("{text:?} is no format: write \"json\" or \"html\"")),
        });
        let format = format.unwrap_or(Format::Json);
        let scope = Scope { format, vars };
        let paginate = Paginate::decode(&section, format);
        let request = RequestRule::decode(&section, &scope, paginate.is_some());
        let end_marker = end_marker(&section, format);
        let ok_when = Condition::decode(&section, "ok_when", &scope);
        let each = Each::of_page(&section, format);
        let missing_on = statuses(&section, "missing_on").unwrap_or_default();
        let vars = decode_vars(&section, &scope);
        let event = EventRule::decode(&section, &scope);
        match (last, section.has("event")) {
            (true, false) => section.problem("is the last step, so it needs [step.event]"),
            (false, true) => section.problem("only the last step may have [step.event]"),
            (true, true) if !vars.is_empty() => section.problem("no step follows that could use vars"),
            _ => {}
        }
        if each.is_none() && !section.has("each") && (!last || paginate.is_some()) {
            section.problem("each is missing");
        }
        section.finish();
        Some(Self {
            id: id?.text.to_owned(),
            request: request?,
            format,
            end_marker,
            ok_when,
            each,
            vars,
            paginate,
            missing_on,
            event,
        })
    }
}

/// The id and the variables that the next step may refer to, read without a word about what is wrong, so that one
/// wrong step does not put the blame on the others.
pub(super) fn outline(section: &Section<'_>) -> (String, BTreeSet<String>) {
    let id = match section.value("id").map(Spanned::get_ref) {
        Some(DeValue::String(id)) => id.to_string(),
        _ => String::new(),
    };
    let vars = match section.value("vars").map(Spanned::get_ref) {
        Some(DeValue::Table(vars)) => vars.keys().map(|name| name.get_ref().to_string()).collect(),
        _ => BTreeSet::new(),
    };
    (id, vars)
}

fn check_parent(section: &Section<'_>, parent: Option<&str>) {
    match (section.text("for_each"), parent) {
        (Some(text), None) => section.problem_at("for_each", &text.at, "the first step has none"),
        (None, Some(parent)) => section.problem(format_args!("for_each = {parent:?} is missing")),
        (Some(text), Some(parent)) if text.text != parent => {
            let expected = format!("must be the step before, {parent:?}");
            section.problem_at("for_each", &text.at, expected);
        }
        _ => {}
    }
}

fn end_marker(section: &Section<'_>, format: Format) -> Option<String> {
    let marker = section.text("end_marker");
    match (format, marker) {
        (Format::Html, None) => Some("</html>".to_owned()),
        (Format::Html, Some(text)) => Some(text.text.to_owned()).filter(|text| !text.is_empty()),
        (Format::Json, None) => None,
        (Format::Json, Some(text)) => {
            let why = "is for HTML; a cut JSON page is noticed without it";
            section.problem_at("end_marker", &text.at, why);
            None
        }
    }
}

fn decode_vars(section: &Section<'_>, scope: &Scope) -> BTreeMap<String, Field> {
    let mut vars = BTreeMap::new();
    let Some(table) = section.section("vars", &format!("{}: vars", section.name())) else {
        return vars;
    };
    for (name, value) in table.entries() {
        if !is_name(name.text) || matches!(name.text, "page" | "size") {
            let expected = "must be 1 to 32 of a-z, 0-9 and _, and neither page nor size";
            table.problem_at(name.text, &name.at, expected);
        }
        if let Some(field) = Field::of_value(&table, name.text, value, scope) {
            vars.insert(name.text.to_owned(), field);
        }
    }
    vars
}

impl RequestRule {
    fn decode(step: &Section<'_>, scope: &Scope, paged: bool) -> Option<Self> {
        let name = format!("{}: request", step.name());
        let section = step.require("request", step.section("request", &name))?;
        let method = section.parsed("method", |text| match text {
            "GET" => Ok(false),
            "POST" => Ok(true),
            _ => Err(format!("{text:?} is no method: write \"GET\" or \"POST\"")),
        });
        let known = |names: Vec<&str>| {
            let mut scope = scope.clone();
            if paged {
                scope.vars.extend(["page".to_owned(), "size".to_owned()]);
            }
            match names.into_iter().find(|name| !scope.vars.contains(*name)) {
                Some(name) => Err(scope.unknown_var(name)),
                None => Ok(()),
            }
        };
        let url = section.parsed("url", |text| {
            if !text.starts_with('/') {
                return Err("must begin with /; it is put behind base_url".to_owned());
            }
            let template = Template::parse(text)?;
            known(template.names().collect())?;
            Ok(template)
        });
        let url = section.require("url", url);
        let json = section.value("json").and_then(|value| {
            json(value)
                .and_then(|json| known(json.names()).map(|()| json))
                .map_err(|problem| section.problem_at("json", &value.span(), problem))
                .ok()
        });
        let post = method.unwrap_or(false);
        if json.is_some() && !post {
            section.problem("json needs method = \"POST\"");
        }
        section.finish();
        Some(Self {
            post,
            url: url?,
            json,
        })
    }
}

fn json(value: &Spanned<DeValue<'_>>) -> Result<JsonTemplate, String> {
    Ok(match value.get_ref() {
        DeValue::String(text) => JsonTemplate::Text(Template::parse(text)?),
        DeValue::Boolean(value) => JsonTemplate::Fixed((*value).into()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map(|number| JsonTemplate::Fixed(number.into()))
            .map_err(|_| format!("{number} is too large"))?,
        DeValue::Array(items) => JsonTemplate::Array(items.iter().map(json).collect::<Result<_, _>>()?),
        DeValue::Table(table) => {
            let field = |(key, value): (&Spanned<std::borrow::Cow<'_, str>>, _)| {
                Ok::<_, String>((key.get_ref().to_string(), json(value)?))
            };
            JsonTemplate::Object(table.iter().map(field).collect::<Result<_, _>>()?)
        }
        DeValue::Float(_) | DeValue::Datetime(_) => {
            return Err("may hold texts, whole numbers, true, false, arrays and tables".to_owned());
        }
    })
}

impl Paginate {
    fn decode(step: &Section<'_>, format: Format) -> Option<Self> {
        let section = step.section("paginate", &format!("{}: paginate", step.name()))?;
        let kind = section.parsed("kind", |text| match text {
            "page" => Ok(()),
            _ => Err(format!("{text:?} is no kind: only \"page\" is known")),
        });
        section.require("kind", kind);
        let start = section.integer("start", 0..=1_000_000, 1);
        let size = section.integer("size", 1..=10_000, 100);
        let max_pages = section.integer("max_pages", 1..=10_000, 50);
        let until = section.parsed("until", |text| match text {
            "empty" => Ok(Until::Empty),
            _ => Err(format!(
                "{text:?} is not known: write \"empty\", or total_pages = …"
            )),
        });
        let total = section.text("total_pages");
        let total = total.and_then(|text| Pick::short(&section, "total_pages", &text, format));
        let until = match (until, total.map(Until::TotalPages)) {
            (Some(_), Some(_)) => {
                section.problem("until and total_pages exclude each other");
                None
            }
            (None, None) if !section.has("until") && !section.has("total_pages") => {
                section.problem("until or total_pages is missing");
                None
            }
            (until, total) => until.or(total),
        };
        section.finish();
        Some(Self {
            start,
            size,
            until: until?,
            max_pages,
        })
    }
}
