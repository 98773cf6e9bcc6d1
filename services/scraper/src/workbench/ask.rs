//! `oddswire source fetch`.

use super::{AskOptions, Error, Output};
use crate::{
    extract,
    fetch::{self, Budget, Fetched, Fetcher, Page},
    source::{Source, Step, Vars},
    walk::{first_ask, request},
};
use reqwest::header::CONTENT_TYPE;
use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Asks for one page and shows it.
pub(super) async fn run(
    options: &AskOptions,
    source: &Source,
    output: &mut Output<'_>,
    stop: &CancellationToken,
) -> Result<u8, Error> {
    let step = step(source, &options.step)?;
    let ask = first_ask(step, options.vars.iter().cloned().collect());
    check_vars(step, &ask.vars)?;
    let request = request(source, step, &ask).map_err(|fault| Error::Usage(fault.message))?;
    let site = Fetcher::new(options.fetch.clone()).site(source)?;

    let method = if request.post { "POST" } else { "GET" };
    writeln!(output.aside, "{method} {}", request.url)?;
    if let Some(json) = &request.json {
        writeln!(output.aside, "{json}")?;
    }
    let retries = Mutex::new(Vec::new());
    let on_retry = |error: &fetch::Error, pause: Duration| {
        let told = format!("{error}; asked again after {pause:.1?}");
        retries.lock().unwrap_or_else(PoisonError::into_inner).push(told);
    };
    let since = Instant::now();
    let fetched = site
        .fetch(&request, &Budget::new(&source.limits), stop, &on_retry)
        .await;
    let took = since.elapsed();
    for retry in retries.into_inner().unwrap_or_else(PoisonError::into_inner) {
        writeln!(output.aside, "  {retry}")?;
    }
    match fetched {
        Ok(Fetched::Page(page)) => {
            let kind = page
                .headers
                .get(CONTENT_TYPE)
                .and_then(|value| value.to_str().ok());
            let (size, kind) = (page.body.len(), kind.unwrap_or("none"));
            writeln!(
                output.aside,
                "status  {}\ntime    {took:.0?}\nsize    {size} bytes\ntype    {kind}",
                page.status
            )?;
            writeln!(output.aside, "rows    {}", rows(source, step, &page, &ask.vars))?;
            show(options, &page, output)?;
            Ok(0)
        }
        Ok(Fetched::Missing) => {
            writeln!(output.aside, "status  one of missing_on: there is no such page")?;
            Ok(1)
        }
        Err(fetch::Error::Cancelled) => Err(Error::Stopped),
        Err(error) => {
            let status = error
                .http_status()
                .map_or("none".to_owned(), |status| status.to_string());
            writeln!(output.aside, "status  {status}\ntime    {took:.0?}\n{error}")?;
            Ok(1)
        }
    }
}

fn step<'s>(source: &'s Source, id: &str) -> Result<&'s Step, Error> {
    source.steps.iter().find(|step| step.id == id).ok_or_else(|| {
        let known: Vec<_> = source.steps.iter().map(|step| step.id.as_str()).collect();
        Error::Usage(format!(
            "there is no step {id:?}; the file has {}",
            known.join(", ")
        ))
    })
}

/// Every variable that the request needs must be there: a blank in its place would ask for another page.
fn check_vars(step: &Step, vars: &Vars) -> Result<(), Error> {
    let mut missing: Vec<_> = step
        .request
        .names()
        .filter(|name| !vars.contains_key(*name))
        .collect();
    missing.sort_unstable();
    missing.dedup();
    if missing.is_empty() {
        return Ok(());
    }
    let wanted: Vec<_> = missing.iter().map(|name| format!("--var {name}=…")).collect();
    let id = &step.id;
    Err(Error::Usage(format!(
        "step {id:?} asks with values that the steps before hand on; give them: {}",
        wanted.join(" ")
    )))
}

/// What the scraper makes of the page, in one line.
fn rows(source: &Source, step: &Step, page: &Page, vars: &Vars) -> String {
    // Fields may ask for variables that the request does not need.
    let read = if step.event.is_some() {
        extract::events(source, step, page, vars).map(|rows| {
            let missing = rows.missing.first().map(|row| row.field.to_owned());
            (rows.events.len(), rows.missing.len(), missing)
        })
    } else {
        extract::listing(source, step, page, vars)
            .map(|rows| (rows.rows.len(), rows.missing.len(), rows.missing.first().cloned()))
    };
    match read {
        Ok((good, 0, _)) => good.to_string(),
        Ok((good, bad, missing)) => {
            let missing = missing.unwrap_or_default();
            format!("{good}, and {bad} that lack {missing} or another field")
        }
        Err(error) => format!("none: {error}"),
    }
}

fn show(options: &AskOptions, page: &Page, output: &mut Output<'_>) -> Result<(), Error> {
    if let Some(file) = &options.out {
        std::fs::write(file, &page.body).map_err(|error| Error::file(file, error))?;
        writeln!(output.aside, "written to {}", file.display())?;
        return Ok(());
    }
    output.out.write_all(&page.body)?;
    if !page.body.ends_with(b"\n") {
        output.out.write_all(b"\n")?;
    }
    Ok(())
}
