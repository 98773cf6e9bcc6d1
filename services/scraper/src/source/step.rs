//! `[[step]]`: one kind of page, how it is asked for and what rows it has.

use super::{
    body::Body,
    condition::Condition,
    event::EventRule,
    expect::StepExpect,
    field::Field,
    http::statuses,
    paginate::{Paginate, RESERVED},
    pick::{Each, Scope},
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
    pub(crate) body: Body,
    /// What stands in every whole page; a page without it was cut off. HTML only, and NDJSON and CSV if they say it.
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
    /// What a good page and all of them together have.
    pub(crate) expect: StepExpect,
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
        let body = Body::decode(&section);
        let format = body.format();
        let scope = Scope { format, vars };
        let paginate = Paginate::decode(&section, format);
        let request = RequestRule::decode(&section, &scope, paginate.as_ref());
        let end_marker = end_marker(&section, &body);
        let ok_when = Condition::decode(&section, "ok_when", &scope);
        let each = Each::of_page(&section, format);
        let each = each.or_else(|| (body.is_list() && !section.has("each")).then(Each::all));
        let expect = StepExpect::decode(&section, &scope);
        let missing_on = statuses(&section, "missing_on").unwrap_or_default();
        let vars = decode_vars(&section, &scope);
        let event = EventRule::decode(&section, &scope);
        match (last, section.has("event")) {
            (true, false) => section.problem("is the last step, so it needs [step.event]"),
            (false, true) => section.problem("only the last step may have [step.event]"),
            (true, true) if !vars.is_empty() => section.problem("no step follows that could use vars"),
            _ => {}
        }
        let listed = !last || section.has("paginate");
        if each.is_none() && !section.has("each") && listed {
            section.problem("each is missing");
        }
        section.finish();
        Some(Self {
            id: id?.text.to_owned(),
            request: request?,
            body,
            end_marker,
            ok_when,
            each,
            vars,
            paginate,
            missing_on,
            expect,
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

fn end_marker(section: &Section<'_>, body: &Body) -> Option<String> {
    let marker = section.text("end_marker");
    match marker {
        None => body.is_html().then(|| "</html>".to_owned()),
        Some(text) if body.is_html() || body.is_list() => {
            Some(text.text.to_owned()).filter(|text| !text.is_empty())
        }
        Some(text) => {
            let why = "is for HTML, NDJSON and CSV; a cut JSON page is noticed without it";
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
        if !is_name(name.text) || RESERVED.contains(&name.text) {
            let reserved = RESERVED.join(", ");
            let expected = format!("must be 1 to 32 of a-z, 0-9 and _, and none of {reserved}");
            table.problem_at(name.text, &name.at, expected);
        }
        if let Some(field) = Field::of_value(&table, name.text, value, scope) {
            vars.insert(name.text.to_owned(), field);
        }
    }
    vars
}

impl RequestRule {
    fn decode(step: &Section<'_>, scope: &Scope, paginate: Option<&Paginate>) -> Option<Self> {
        let name = format!("{}: request", step.name());
        let section = step.require("request", step.section("request", &name))?;
        let method = section.parsed("method", |text| match text {
            "GET" => Ok(false),
            "POST" => Ok(true),
            _ => Err(format!("{text:?} is no method: write \"GET\" or \"POST\"")),
        });
        let known = |names: Vec<&str>| {
            let mut scope = scope.clone();
            let placed = paginate.map_or(&[][..], Paginate::names);
            scope.vars.extend(placed.iter().map(ToString::to_string));
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
        let request = Self {
            post,
            url: url?,
            json,
        };
        if let Some(name) = paginate.and_then(Paginate::needed)
            && !request.names().any(|used| used == name)
        {
            step.problem(format_args!(
                "paginate: the request does not use {{{{{name}}}}}, so each page would be the first one"
            ));
        }
        Some(request)
    }

    /// The variables that it needs.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        let json = self.json.iter().flat_map(JsonTemplate::names);
        self.url.names().chain(json)
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
