//! `[[step]]`: pages, requests, lists, fields.

use super::markets::{CellMarketTable, EventTable, FlatMarketTable, MarketTable};
use schemars::JsonSchema;
use serde_json::Value;
use std::collections::BTreeMap;

/// One kind of page.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "read by editors alone")]
pub(super) struct StepTable {
    /// Its name.
    #[schemars(regex(pattern = "^[a-z0-9_]{1,32}$"))]
    id: String,
    /// The step before; in every step but the first.
    for_each: Option<String>,
    /// What its pages are. Default: json.
    format: Option<FormatName>,
    csv: Option<CsvTable>,
    embedded: Option<EmbeddedTable>,
    request: RequestTable,
    /// The page is an answer only if this holds.
    ok_when: Option<ConditionTable>,
    /// The rows. In JSON a path that ends in `[*]`, in HTML a selector.
    each: Option<String>,
    /// HTML only, wherever `each` is: what the rows are in.
    within: Option<String>,
    /// What every whole page has in it. Default in HTML: `</html>`.
    end_marker: Option<String>,
    /// What rows hand to the steps after.
    vars: Option<BTreeMap<String, Field>>,
    paginate: Option<PaginateTable>,
    /// Statuses that say that a page is gone.
    #[schemars(inner(range(min = 400, max = 599)))]
    missing_on: Option<Vec<u32>>,
    expect: Option<StepExpectTable>,
    event: Option<EventTable>,
    /// Objects or elements with outcomes in them.
    market: Option<Vec<MarketTable>>,
    /// One JSON object whose keys say everything.
    flat_market: Option<Vec<FlatMarketTable>>,
    /// One row or element for each price.
    cell_market: Option<Vec<CellMarketTable>>,
}

/// What pages are.
#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
#[expect(dead_code, reason = "read by editors alone")]
pub(super) enum FormatName {
    /// One JSON value.
    Json,
    /// HTML.
    Html,
    /// A JSON value on each line.
    Ndjson,
    /// A table.
    Csv,
}

/// How a table of CSV is written.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "read by editors alone")]
pub(super) struct CsvTable {
    /// One character. Default: a comma.
    #[schemars(length(equal = 1))]
    delimiter: Option<String>,
    /// The names of the columns, where the first line does not have them.
    columns: Option<Vec<String>>,
    /// Lines of one value in this column, one after another, are one row; all of them are in its `rows`.
    group_by: Option<String>,
}

/// JSON inside of another page: `css` and `attr`, or `path`, or `regex` alone.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "read by editors alone")]
pub(super) struct EmbeddedTable {
    /// The element that holds it, such as `script#__DATA__`.
    css: Option<String>,
    /// The attribute that holds it.
    attr: Option<String>,
    /// The text in a JSON page that holds it.
    path: Option<String>,
    /// Its first group, or else all that it matches, is the JSON.
    regex: Option<String>,
}

/// What is asked.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "read by editors alone")]
pub(super) struct RequestTable {
    /// Default: GET.
    method: Option<MethodName>,
    /// Path and query behind `base_url`; `{{name}}` stands for a variable.
    #[schemars(regex(pattern = "^/"))]
    url: String,
    /// The body; needs POST.
    json: Option<Value>,
}

/// Methods.
#[derive(JsonSchema)]
#[schemars(rename_all = "UPPERCASE")]
#[expect(dead_code, reason = "read by editors alone")]
pub(super) enum MethodName {
    /// Asks.
    Get,
    /// Asks with a body.
    Post,
}

/// How a list goes on.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "read by editors alone")]
pub(super) struct PaginateTable {
    kind: PageKindName,
    /// Rows of a page, for `{{size}}`. Default: 100.
    #[schemars(range(min = 1, max = 10_000))]
    size: Option<u32>,
    /// No more pages are asked for. Default: 50.
    #[schemars(range(min = 1, max = 10_000))]
    max_pages: Option<u32>,
    /// page, offset: the first number. Default: 1 for page, 0 for offset.
    #[schemars(range(min = 0, max = 1_000_000))]
    start: Option<u32>,
    /// page, offset: the list ends with a page without rows, or with one that has fewer rows than `size`.
    until: Option<UntilName>,
    /// page, offset: where the first page tells how many pages there are.
    total_pages: Option<Place>,
    /// page, offset: where the first page tells how many rows there are.
    total_rows: Option<Place>,
    /// cursor: where the cursor to the next page is.
    cursor: Option<Place>,
    /// cursor: the cursor of the first page. Default: blank.
    first: Option<String>,
    /// next_link: where the link to the next page is.
    next: Option<Place>,
}

/// Kinds of lists.
#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
#[expect(dead_code, reason = "read by editors alone")]
pub(super) enum PageKindName {
    /// `{{page}}` is the number of the page.
    Page,
    /// `{{offset}}` is the number of the first row.
    Offset,
    /// `{{cursor}}` is what the page before says.
    Cursor,
    /// The page has a link to the next one.
    NextLink,
    /// The header `Link` has it, as `rel="next"`.
    LinkHeader,
}

/// Ends of lists.
#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
#[expect(dead_code, reason = "read by editors alone")]
pub(super) enum UntilName {
    /// A page without rows.
    Empty,
    /// A page with fewer rows than `size`.
    Short,
}

/// What a good page and all of them together have.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "read by editors alone")]
pub(super) struct StepExpectTable {
    /// Paths or selectors that find something on each page.
    required: Option<Vec<String>>,
    /// Fewer rows on all pages of the step together mean that the site changed. Default: 0.
    #[schemars(range(min = 0, max = 1_000_000))]
    min_rows: Option<u32>,
}

/// A place: a path or a selector alone, or a table.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "read by editors alone")]
pub(super) enum Place {
    /// A path or a selector.
    Short(String),
    /// All of it.
    Table(PlaceTable),
}

/// `path`, or `css` and `attr`, or `var`.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "read by editors alone")]
pub(super) struct PlaceTable {
    /// JSON: a JSONPath (RFC 9535).
    path: Option<String>,
    /// HTML: a CSS selector.
    css: Option<String>,
    /// HTML: this attribute.
    attr: Option<String>,
    /// A variable of the steps before.
    var: Option<String>,
}

/// A value of a row: a path or a selector alone, or a table.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "read by editors alone")]
pub(super) enum Field {
    /// A path or a selector.
    Short(String),
    /// All of it.
    Table(Box<FieldTable>),
}

/// A value of a row.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "read by editors alone")]
pub(super) struct FieldTable {
    /// JSON: a JSONPath (RFC 9535).
    path: Option<String>,
    /// HTML: a CSS selector; without it, the row itself.
    css: Option<String>,
    /// HTML: this attribute; without it, the text.
    attr: Option<String>,
    /// A variable of the steps before.
    var: Option<String>,
    /// Done first, in this order.
    transforms: Option<Vec<Transform>>,
    /// Then its first group, or else all that it matches, is taken.
    regex: Option<String>,
    /// Then this is put before it.
    prefix: Option<String>,
    /// Whether a row without it is a good row. Default: false.
    optional: Option<bool>,
    /// Times: a number since 1970, in `ms` or `s`.
    epoch: Option<EpochName>,
    /// Times: a pattern of strftime; needs `timezone`. Without a year it is the time nearest to now.
    format: Option<String>,
    /// Times: `UTC`, an offset such as `+01:00`, or a name such as `Europe/Berlin`.
    timezone: Option<String>,
}

/// Units of times.
#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
#[expect(dead_code, reason = "read by editors alone")]
pub(super) enum EpochName {
    /// Milliseconds.
    Ms,
    /// Seconds.
    S,
}

/// What can be done with a text.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "read by editors alone")]
pub(super) enum Transform {
    /// One without parameters.
    Name(TransformName),
    /// One of `replace`, `scale` and `map`.
    Table(TransformTable),
}

/// Transforms without parameters.
#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
#[expect(dead_code, reason = "read by editors alone")]
pub(super) enum TransformName {
    /// No white space at the ends.
    Trim,
    /// Small letters.
    Lower,
    /// Capital letters.
    Upper,
    /// `1.234,5` becomes `1234.5`.
    DecimalComma,
    /// `1,234.5` becomes `1234.5`.
    DecimalPoint,
    /// `5/2` becomes `3.5`.
    FractionalOdds,
    /// `+150` becomes `2.5`, `-200` becomes `1.5`.
    AmericanOdds,
}

/// Transforms with parameters; one of them in each table.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "read by editors alone")]
pub(super) struct TransformTable {
    /// A regular expression; what it matches is replaced.
    replace: Option<String>,
    /// Beside `replace`: by this, in which `$1` is the first group. Default: nothing.
    with: Option<String>,
    /// Multiplies a number, such as "0.001".
    scale: Option<String>,
    /// One text for another; a text that is not in it is no value.
    map: Option<BTreeMap<String, String>>,
}

/// A question about a row: a place, and `equals` or `matches`.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "read by editors alone")]
pub(super) struct ConditionTable {
    /// JSON: a JSONPath (RFC 9535).
    path: Option<String>,
    /// HTML: a CSS selector.
    css: Option<String>,
    /// HTML: this attribute.
    attr: Option<String>,
    /// A variable of the steps before.
    var: Option<String>,
    /// A text, whole number, true or false, or a list of them.
    equals: Option<Value>,
    /// A regular expression.
    matches: Option<String>,
}
