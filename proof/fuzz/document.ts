/** The JSON Schema keywords in the app's document. */
export interface Schema {
  type?: 'object' | 'array' | 'string' | 'integer' | 'null';
  enum?: unknown[];
  anyOf?: Schema[];
  properties?: Record<string, Schema>;
  required?: string[];
  minProperties?: number;
  items?: Schema;
  minimum?: number;
  maximum?: number;
  minLength?: number;
  maxLength?: number;
  pattern?: string;
  format?: string;
}

export interface Parameter {
  name: string;
  in: 'path' | 'query';
  required?: boolean;
  schema: Schema;
}

/** An operation of the OpenAPI document. */
export interface Operation {
  method: string;
  path: string;
  parameters: Parameter[];
  body?: Schema;
  /** Schemas by status, such as 200 or 4XX; undefined means no body. */
  responses: Record<string, Schema | undefined>;
}

interface Content {
  content?: Record<string, { schema: Schema }>;
}

interface Document {
  paths: Record<
    string,
    Record<
      string,
      { parameters?: Parameter[]; requestBody?: Content; responses: Record<string, Content> }
    >
  >;
}

/** Reads the operations below a path from the app's /openapi.json. */
export async function readOperations(url: string, path: string): Promise<Operation[]> {
  const answer = await fetch(`${url}/openapi.json`);
  const { paths } = (await answer.json()) as Document;
  return Object.entries(paths)
    .filter(([template]) => template.startsWith(path))
    .flatMap(([template, methods]) =>
      Object.entries(methods).map(([method, given]) => ({ template, method, given })),
    )
    .map(({ template, method, given: { parameters = [], requestBody, responses } }) => {
      const body = requestBody && readSchema(requestBody);
      const answers = Object.entries(responses).map(([status, content]) => [
        status,
        readSchema(content),
      ]);
      return {
        method: method.toUpperCase(),
        path: template,
        parameters,
        ...(body && { body }),
        responses: Object.fromEntries(answers),
      };
    });
}

function readSchema({ content }: Content): Schema | undefined {
  return content?.['application/json']?.schema;
}
