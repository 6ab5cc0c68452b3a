package main

import (
	"context"
	"fmt"
	"time"

	lua "github.com/yuin/gopher-lua"
)

// runLua runs a script the way Argo CD runs those of argocd-cm: the base and table libraries, `os` only by
// `require` and only with date and time, nothing for strings, files or numbers, one second at most.
// See util/lua/lua.go and util/lua/oslib_safe.go of Argo CD.
func runLua(object map[string]any, script string) (any, error) {
	state := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer state.Close()
	libraries := []struct {
		name string
		open lua.LGFunction
	}{{lua.LoadLibName, lua.OpenPackage}, {lua.BaseLibName, lua.OpenBase}, {lua.TabLibName, lua.OpenTable}}
	for _, library := range libraries {
		open := lua.P{Fn: state.NewFunction(library.open), Protect: true}
		if err := state.CallByParam(open, lua.LString(library.name)); err != nil {
			return nil, err
		}
	}
	state.PreloadModule(lua.OsLibName, clockOnly)

	limit, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	state.SetContext(limit)
	state.SetGlobal("obj", toLua(state, object))
	if err := state.DoString(script); err != nil {
		return nil, err
	}
	returned, ok := state.Get(-1).(*lua.LTable)
	if !ok {
		return nil, fmt.Errorf("expect table output from Lua script, not %s", state.Get(-1).Type())
	}
	return fromLua(returned, object), nil
}

// clockOnly is `os` with what Argo CD leaves of it. The whole library is opened in a state of its own.
func clockOnly(state *lua.LState) int {
	aside := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer aside.Close()
	lua.OpenOs(aside)
	whole := aside.CheckTable(-1)
	safe := state.NewTable()
	for _, name := range []string{"time", "date"} {
		function := whole.RawGetString(name).(*lua.LFunction)
		safe.RawSetString(name, state.NewFunction(function.GFunction))
	}
	state.Push(safe)
	return 1
}

func toLua(state *lua.LState, value any) lua.LValue {
	switch value := value.(type) {
	case bool:
		return lua.LBool(value)
	case string:
		return lua.LString(value)
	case int64:
		return lua.LNumber(value)
	case float64:
		return lua.LNumber(value)
	case []any:
		table := state.CreateTable(len(value), 0)
		for _, item := range value {
			table.Append(toLua(state, item))
		}
		return table
	case map[string]any:
		table := state.CreateTable(0, len(value))
		for key, item := range value {
			table.RawSetString(key, toLua(state, item))
		}
		return table
	default:
		return lua.LNil
	}
}

// fromLua needs to know what stood in the same place before, because an empty table can be a list or a map.
func fromLua(value lua.LValue, before any) any {
	switch value := value.(type) {
	case lua.LBool:
		return bool(value)
	case lua.LString:
		return string(value)
	case lua.LNumber:
		if whole := int64(value); lua.LNumber(whole) == value {
			return whole
		}
		return float64(value)
	case *lua.LTable:
		list, isList := before.([]any)
		if value.MaxN() > 0 || (isList && value.Len() == 0) {
			return listFromLua(value, list)
		}
		return mapFromLua(value, before)
	default:
		return nil
	}
}

func listFromLua(table *lua.LTable, before []any) []any {
	list := make([]any, 0, table.MaxN())
	for index := range table.MaxN() {
		var earlier any
		if index < len(before) {
			earlier = before[index]
		}
		list = append(list, fromLua(table.RawGetInt(index+1), earlier))
	}
	return list
}

func mapFromLua(table *lua.LTable, before any) map[string]any {
	earlier, _ := before.(map[string]any)
	members := map[string]any{}
	table.ForEach(func(key, value lua.LValue) {
		members[key.String()] = fromLua(value, earlier[key.String()])
	})
	return members
}
