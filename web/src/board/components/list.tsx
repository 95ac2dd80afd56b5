import { Component, createRef } from 'preact';

import type { Row as RankingRow } from '../ranking';
import { Row } from './row';

const MOVE_MS = 520;
const EASE = 'cubic-bezier(0.22, 1, 0.36, 1)';

type Tops = Map<string, number>;
interface Snapshot {
  tops: Tops;
  focused: Element | null;
}
interface Props {
  rows: readonly RankingRow[];
}

/**
 * Rows travel to their new places (FLIP: measure, re-render, measure, play the difference).
 * A class because getSnapshotBeforeUpdate is exactly "measure before the DOM changes", and it
 * sees rows where they are on the screen, also in the middle of an earlier journey.
 */
export class List extends Component<Props> {
  private readonly list = createRef<HTMLOListElement>();

  override getSnapshotBeforeUpdate(): Snapshot {
    return { tops: this.tops(), focused: document.activeElement };
  }

  override componentDidUpdate(_props: Props, _state: unknown, before: Snapshot): void {
    this.keepFocus(before.focused);
    if (matchMedia('(prefers-reduced-motion: reduce)').matches) return;
    const elements = this.elements();
    for (const element of elements) element.getAnimations().forEach((running) => running.cancel());
    const after = this.tops();
    for (const element of elements) {
      const from = before.tops.get(element.dataset.id!);
      const to = after.get(element.dataset.id!)!;
      if (from === undefined) {
        element.animate([{ opacity: 0 }, { opacity: 1 }], { duration: MOVE_MS });
      } else if (Math.abs(from - to) > 0.5) {
        const climbs = from > to;
        element.animate(
          [
            { transform: `translateY(${from - to}px)`, zIndex: climbs ? 1 : 0 },
            { transform: 'none', zIndex: climbs ? 1 : 0 },
          ],
          { duration: MOVE_MS, easing: EASE },
        );
      }
    }
  }

  render({ rows }: Props) {
    const hottest = Math.max(...rows.map((row) => row.score), Number.EPSILON);
    return (
      <ol class="list" ref={this.list}>
        {rows.map((row) => (
          <Row key={row.content.id} row={row} heat={Math.max(0, row.score / hottest)} />
        ))}
      </ol>
    );
  }

  /** An element that is moved in the document loses the focus, and a keyboard user the place. */
  private keepFocus(focused: Element | null): void {
    const lost = focused !== document.activeElement && this.list.current?.contains(focused);
    if (lost && focused instanceof HTMLElement) focused.focus({ preventScroll: true });
  }

  private elements(): HTMLElement[] {
    return [...(this.list.current?.children ?? [])] as HTMLElement[];
  }

  private tops(): Tops {
    return new Map(
      this.elements().map((element) => [
        element.dataset.id!,
        element.getBoundingClientRect().top + scrollY,
      ]),
    );
  }
}
