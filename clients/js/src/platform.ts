// What the platform tells, where there is one that does: browsers do, Node does in part.

/** Whether the device says that it has no network. */
export const isOffline = (): boolean => typeof navigator !== "undefined" && navigator.onLine === false;

/** Whether the page is hidden. */
export const isHidden = (): boolean => typeof document !== "undefined" && document.visibilityState === "hidden";

/** Listens, where the target is there and can be listened to; gives what ends it. */
export const listen = (target: Partial<EventTarget> | undefined, name: string, act: () => void): (() => void) => {
  if (typeof target?.addEventListener !== "function") return () => {};
  target.addEventListener(name, act);
  return () => target.removeEventListener?.(name, act);
};
