import { useLayoutEffect, useRef, useState } from "preact/hooks";
import type { ComponentChildren } from "preact";

interface Props {
  readonly rows: number;
  readonly rowPx: number;
  readonly columns: number;
  /** The rows, made when they are near the screen. */
  children(): ComponentChildren;
}

/** A part of a long table: its rows are there while they are near the screen, and an empty row of their height else. */
export function Chunk({ rows, rowPx, columns, children }: Props) {
  const body = useRef<HTMLTableSectionElement>(null);
  const [isNear, setNear] = useState(false);
  const height = useRef(rows * rowPx);
  useLayoutEffect(() => {
    const element = body.current as HTMLTableSectionElement;
    const watch = new IntersectionObserver(
      (seen) => {
        const last = seen.at(-1) as IntersectionObserverEntry;
        // What it was high while it was drawn is what its place has to keep.
        if (!last.isIntersecting && element.rows.length > 1) height.current = last.boundingClientRect.height;
        setNear(last.isIntersecting);
      },
      { rootMargin: "800px 0px" },
    );
    watch.observe(element);
    return () => watch.disconnect();
  }, []);
  return (
    <tbody ref={body}>
      {isNear ? children() : <tr aria-hidden="true"><td class="place" colSpan={columns} style={{ height: `${height.current}px` }} /></tr>}
    </tbody>
  );
}
