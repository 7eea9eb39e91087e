// The page's controls: sliders for the settings, a button for each idea, and buttons that send packets.

import type { Settings } from '../settings.js';
import { byId, show, text } from './dom.js';
import { IDEAS } from './ideas.js';

const NAMES = ['concurrency', 'load', 'work', 'blocking'] as const;

export class Controls {
  readonly #sliders = NAMES.map((name) => byId(name) as HTMLInputElement);
  readonly #ideas: readonly HTMLElement[];
  #cores = 1;

  constructor() {
    for (const slider of this.#sliders) {
      slider.addEventListener('input', () => this.#showValues());
      slider.addEventListener('change', () => {
        this.#press(undefined);
        post('settings', JSON.stringify(this.#settings));
      });
    }
    for (const button of document.querySelectorAll<HTMLElement>('[data-send]'))
      button.addEventListener('click', () => post('send', button.dataset.send!));
    this.#ideas = IDEAS.map(({ name, settings }, i) => {
      const button = text('button', name);
      button.setAttribute('type', 'button');
      button.ariaPressed = 'false';
      button.addEventListener('click', () => {
        this.#press(i);
        post('anew', JSON.stringify(settings(this.#cores)));
      });
      return button;
    });
    byId('ideas').replaceChildren(...this.#ideas);
    this.#press(undefined);
  }

  /** Shows the server's settings. */
  take(settings: Settings, cores: number): void {
    this.#cores = cores;
    // The slider under the reader's hand stays where it is.
    for (const [i, slider] of this.#sliders.entries())
      if (!slider.matches(':active')) slider.value = String(settings[NAMES[i]!]);
    this.#showValues();
    const same = (idea: Settings) => NAMES.every((name) => idea[name] === settings[name]);
    this.#press(IDEAS.findIndex((idea) => same(idea.settings(cores))));
  }

  get #settings(): Settings {
    const [concurrency, load, work, blocking] = this.#sliders.map(({ valueAsNumber }) => valueAsNumber);
    return { concurrency: concurrency!, load: load!, work: work!, blocking: blocking! };
  }

  #showValues(): void {
    const { concurrency, load, work, blocking } = this.#settings;
    show(byId('concurrency-value'), `${concurrency} of ${concurrency * 2} threads`);
    show(byId('load-value'), load === 0 ? 'none' : `${load} packets/s`);
    show(byId('work-value'), `${work} ms`);
    show(
      byId('blocking-value'),
      blocking === 0 ? 'all compute' : blocking === 100 ? 'all block' : `${blocking} % block`,
    );
  }

  #press(idea: number | undefined): void {
    for (const [i, button] of this.#ideas.entries()) button.ariaPressed = String(i === idea);
    show(byId('idea'), IDEAS[idea ?? -1]?.text ?? 'Move a slider, or choose an idea above.');
  }
}

/** The server's answer, if the page shows it, is a greeting. */
function post(path: string, body: string): void {
  fetch(`/${path}`, { method: 'POST', body }).catch(() => {
    // The page says already that the server is gone.
  });
}
