import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';

const ID = /\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b/g;
const TIME = /\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/g;

/** One step of a README: the typed line and the shown output. */
export interface Step {
  input: string;
  output: string;
}

/** Reads the steps from a README's blocks of this language. Each begins with the prompt. */
export function readSteps(file: string, language: string, prompt: string): Step[] {
  const blocks = readFileSync(file, 'utf8').matchAll(
    new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\``, 'gms'),
  );
  const text = [...blocks].map(([, block]) => block).join('');
  const steps = `\n${text}`.split(`\n${prompt}`).slice(1);
  assert(steps.length > 0, `${file} has no blocks of ${language}`);
  return steps.map((step) => {
    const [input = '', ...output] = step.split('\n');
    return { input, output: output.join('\n').trimEnd() };
  });
}

/** Repeats what a README shows. Ids and times differ: a shown id stands for the one received. */
export class Replay {
  readonly #ids = new Map<string, string>();

  /** Runs the steps in order and compares their output. */
  async run(steps: Step[], run: (input: string) => Promise<string>): Promise<void> {
    for (const { input, output } of steps) {
      const came = (await run(input.replaceAll(ID, (id) => this.#ids.get(id) ?? id))).trimEnd();
      assert.equal(mask(came), mask(output), `the output of ${input} differs from the README`);
      this.#pair(output, came);
    }
  }

  #pair(output: string, came: string): void {
    const ids = came.match(ID) ?? [];
    for (const [position, id] of (output.match(ID) ?? []).entries()) {
      assert.equal(this.#ids.get(id) ?? ids[position], ids[position], `${id} stands for two notes`);
      this.#ids.set(id, ids[position]!);
    }
  }
}

function mask(text: string): string {
  return text.replaceAll(ID, '<id>').replaceAll(TIME, '<time>');
}
